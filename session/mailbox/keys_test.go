package mailbox

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// asker is who pushes with a key: it writes down what it hears.
type asker struct {
	heard []string
	id    session.ID
}

func (a *asker) Kept(id session.ID, devices int, refused session.Outcome, _ string) {
	a.id = id
	if refused != session.Pending {
		a.heard = append(a.heard, refused.String())
		return
	}
	a.heard = append(a.heard, fmt.Sprintf("kept for %d", devices))
}

func (a *asker) Became(id session.ID, device string, o session.Outcome) {
	if id != a.id {
		a.heard = append(a.heard, "of another message:")
	}
	a.heard = append(a.heard, device+" "+o.String())
}

func (a *asker) String() string { return strings.Join(a.heard, ", ") }

func keyedWorld(change func(*Config)) *world {
	cfg := Default()
	if change != nil {
		change(&cfg)
	}
	w := newWorld(cfg)
	w.keyed = true
	w.start()
	for w.work() {
	}
	return w
}

// ask pushes with a key.
func (w *world) ask(id, device, payload string, brief bool) *asker {
	a := new(asker)
	p := Push{Account: "a", Device: device, Payload: []byte(payload), SentMS: w.nowMS, ExpiresMS: w.nowMS + 60_000, Brief: brief}
	p.Key = session.NewKey("", id, &session.Kept{Address: session.Address{Account: "a", Device: device}, Payload: p.Payload, SentMS: p.SentMS, ExpiresMS: p.ExpiresMS})
	w.mailbox.Post(&p, a)
	clear(p.Payload)
	return a
}

func (a *asker) is(t *testing.T, want string) {
	t.Helper()
	if a.String() != want {
		t.Errorf("heard %q, want %q", a, want)
	}
}

// TestRepeatIsTheFirstOne pushes the same again: while the first is being stored, when it
// waits, when it is acked, and after restarts.
func TestRepeatIsTheFirstOne(t *testing.T) {
	w := keyedWorld(nil)
	first, again := w.ask("k", "d", "x", true), w.ask("k", "d", "x", false)
	first.is(t, "")
	again.is(t, "")
	w.store.sync()
	for w.work() {
	}
	first.is(t, "kept for 1")
	again.is(t, "kept for 1, d queued")
	id := first.id
	if again.id != id || w.store.count() != 1 {
		t.Fatalf("ids %s and %s, %d messages", id.Text(), again.id.Text(), w.store.count())
	}
	w.crash()
	early := w.ask("k", "d", "x", true)
	early.is(t, "") // the keys of before the start are not read yet
	if s := w.mailbox.KeyStats(); s.Early != 1 || s.Held != 0 {
		t.Errorf("%+v", s)
	}
	for w.work() {
	}
	early.is(t, "kept for 1")
	w.open("d")
	w.order("d")
	last := w.ask("k", "d", "x", false)
	for w.work() {
	}
	last.is(t, "kept for 1, d acked")
	w.crash()
	for w.work() {
	}
	other := w.ask("other", "d", "x", true)
	w.store.sync()
	if again := w.ask("k", "d", "x", true); again.id != id || early.id != id || last.id != id || other.id == id {
		t.Errorf("the first is %s: early %s, last %s, after a restart %s, other %s", id.Text(), early.id.Text(), last.id.Text(), again.id.Text(), other.id.Text())
	}
	if s := w.mailbox.KeyStats(); s.Held != 2 || s.Repeated != 1 {
		t.Errorf("%+v", s)
	}
	if n := len(w.store.keys); n != 2 {
		t.Errorf("%d keys on disk", n)
	}
	w.check(t)
}

// TestUnwatchedRepeat: whose push was the first one's again, and who waits no more, does not take the
// outcome from the first one, who waits on.
func TestUnwatchedRepeat(t *testing.T) {
	w := keyedWorld(nil)
	first := w.ask("k", "d", "x", false)
	w.store.sync()
	again := w.ask("k", "d", "x", false)
	for w.work() {
	}
	if again.id != first.id {
		t.Fatalf("ids %s and %s", first.id.Text(), again.id.Text())
	}
	w.mailbox.Unwatch(again.id, again)
	w.open("d")
	w.order("d")
	first.is(t, "kept for 1, d queued, d written, d acked")
	if n := w.mailbox.Stats().Watched; n != 0 {
		t.Errorf("%d are watched", n)
	}
}

// TestKeyOfAnotherMessage is refused, on its way and afterwards, and changes nothing.
func TestKeyOfAnotherMessage(t *testing.T) {
	w := keyedWorld(nil)
	w.ask("k", "d", "x", true)
	w.ask("k", "d", "y", true).is(t, "forbidden")
	w.store.sync()
	w.ask("k", "e", "x", true).is(t, "forbidden")
	w.ask("k", "d", "x", true).is(t, "kept for 1")
	if s := w.mailbox.KeyStats(); s.Reused != 2 || s.Held != 1 || w.mailbox.Stats().Pending != 0 {
		t.Errorf("%+v, %d pending", s, w.mailbox.Stats().Pending)
	}
}

// TestRefusedPushHasNoKey: who repeats a push that was refused, or while it is, is not told
// that it is kept.
func TestRefusedPushHasNoKey(t *testing.T) {
	w := keyedWorld(nil)
	w.devices = []string{"d", "e"}
	w.store.refuse = errors.New("no room")
	first, again := w.ask("k", "", "x", true), w.ask("k", "", "x", false) // both wait for the list of devices
	for w.work() {
	}
	first.is(t, "overloaded")
	again.is(t, "overloaded")
	w.store.refuse = nil
	third := w.ask("k", "", "x", false)
	for w.work() {
	}
	w.store.sync()
	third.is(t, "kept for 2, d queued, e queued")
	if s := w.mailbox.KeyStats(); s.Held != 1 || w.mailbox.Stats().Pending != 0 {
		t.Errorf("%+v, %d pending", s, w.mailbox.Stats().Pending)
	}
}

// TestRepeatOwnsItsNames: a repeat that waits for the first push is refused with it long after Post has
// given back what it had borrowed.
func TestRepeatOwnsItsNames(t *testing.T) {
	w := keyedWorld(nil)
	tr := new(trail)
	w.mailbox.tracer = tr
	w.devices = []string{"d"}
	w.post(Push{}) // to all: the account's later pushes wait behind it
	w.ask("k", "d", "x", true)
	device := []byte("d")
	again := w.ask("k", wire.Borrow(device), "x", true)
	device[0] = '?'
	w.store.refuse = errors.New("no room")
	for w.work() {
	}
	again.is(t, "overloaded")
	if last := tr.text[len(tr.text)-1]; !strings.HasSuffix(last, " refused overloaded d0 false") {
		t.Errorf("noted %q, last %q", tr.text, last)
	}
}

// TestKeysUnread: while the disk does not say which keys there were, pushes with keys wait;
// the others do not.
func TestKeysUnread(t *testing.T) {
	w := keyedWorld(nil)
	w.ask("k", "d", "x", true)
	w.store.sync()
	w.crash()
	w.store.unread = errors.New("damaged")
	again := w.ask("k", "d", "x", true)
	w.post(Push{Device: "d"})
	for w.work() {
	}
	w.store.sync()
	again.is(t, "")
	if s := w.mailbox.KeyStats(); s.Unread != 1 || s.Early != 1 || len(w.kept) != 1 {
		t.Errorf("%+v, kept %v", s, w.kept)
	}
	w.store.unread = nil
	w.tick(100)
	for w.work() {
	}
	again.is(t, "kept for 1")
}

// TestKeysModel repeats pushes at random, with restarts, against a model that remembers the
// newest keys for their time.
func TestKeysModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const ageMS, keysMax = 5000, 4
		w := keyedWorld(func(c *Config) { c.IdempotencyAgeMS, c.IdempotencyKeysMax = ageMS, keysMax })
		type entry struct {
			name   string
			id     session.ID
			goneMS int64
		}
		var model []entry
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				w.crash()
				for w.work() {
				}
			case 1:
				w.tick(rapid.Int64Range(1, ageMS).Draw(t, "passed"))
			default:
				name := fmt.Sprint(rapid.IntRange(0, 6).Draw(t, "key"))
				model = slices.DeleteFunc(model, func(e entry) bool { return e.goneMS <= w.nowMS })
				a := w.ask(name, "d", name, true)
				w.store.sync()
				i := slices.IndexFunc(model, func(e entry) bool { return e.name == name })
				switch {
				case a.String() != "kept for 1":
					t.Fatalf("%s: %s", name, a)
				case i >= 0 && a.id != model[i].id:
					t.Fatalf("%s is %s, not %s again", name, a.id.Text(), model[i].id.Text())
				case i >= 0:
					continue
				}
				if slices.ContainsFunc(model, func(e entry) bool { return e.id == a.id }) {
					t.Fatalf("%s is %s, which is another one's", name, a.id.Text())
				}
				if model = append(model, entry{name, a.id, w.nowMS + ageMS}); len(model) > keysMax {
					model = model[1:]
				}
			}
			if s := w.mailbox.KeyStats(); s.Held > keysMax {
				t.Fatalf("%d keys are remembered", s.Held)
			}
		}
	})
}

// TestPlacesOfKeysAreUsedAgain: many keys one after another need no more room than at one
// moment are held, here and on disk.
func TestPlacesOfKeysAreUsedAgain(t *testing.T) {
	w := keyedWorld(func(c *Config) { c.IdempotencyKeysMax = 8 })
	for i := range 100 {
		w.ask(fmt.Sprint(i), "d", "x", true)
		w.store.sync()
	}
	w.store.sync()
	if n := len(w.mailbox.keys.slots); n > 10 || len(w.store.keys) != 8 || w.mailbox.KeyStats().Forgotten != 92 {
		t.Errorf("%d places, %d keys on disk, %+v", n, len(w.store.keys), w.mailbox.KeyStats())
	}
}

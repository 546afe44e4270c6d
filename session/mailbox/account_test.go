package mailbox

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/roostpush/roost/session"
)

func TestAccountPush(t *testing.T) {
	w := newWorld(testConfig())
	w.work()
	w.devices = []string{"f", "d", "e", "d", "g"}
	w.open("d")
	w.post(Push{Except: "g"})
	w.post(Push{Device: "d"}) // must not overtake it
	w.post(Push{Except: "d"})
	w.store.sync()
	if w.store.count() != 0 {
		t.Error("something was stored before the list of devices was there")
	}
	w.work()
	w.store.sync()
	if got, want := w.order("d"), []session.MessageID{2, 3}; !slices.Equal(got, want) {
		t.Errorf("sent %v, want %v", got, want)
	}
	w.open("e")
	if got, want := w.order("e"), []session.MessageID{2, 4}; !slices.Equal(got, want) {
		t.Errorf("sent %v, want %v", got, want)
	}
	if got := w.store.count(); got != 3 { // two for f, one for g
		t.Errorf("%d messages wait, want 3", got)
	}
	if len(w.mailbox.shards[0].gates) != 0 {
		t.Error("the gate is still there")
	}
	w.check(t)
}

func TestAccountPushWithFullDevices(t *testing.T) {
	cfg := testConfig()
	cfg.DeviceMessagesMax = 1
	w := newWorld(cfg)
	w.work()
	w.devices = []string{"d", "e"}
	w.postAll(Push{Device: "d"})
	w.post(Push{})
	w.settle()
	if got := fmt.Sprint(w.became["d n1.1.3"], w.became["e n1.1.3"], w.kept); got != "[overloaded] [queued] map[{{n1 1} 2}:1 {{n1 1} 3}:1]" {
		t.Errorf("the watcher heard %s", got)
	}
	fates, _, _ := w.mailbox.Fates(session.ID{Origin: session.Origin{Node: "n1", Epoch: 1}, Number: 3})
	if got := fmt.Sprint(fates); got != "[{e queued 1000000} {d overloaded 1000000}]" {
		t.Errorf("fates: %s", got)
	}
	w.post(Push{})
	w.settle()
	if len(w.refused) != 1 || !strings.Contains(w.refused[0], "device_messages_max") {
		t.Errorf("refused: %q", w.refused)
	}
	w.check(t)
}

type unlisted struct{}

func (unlisted) Devices(string, []string) ([]string, error) { return nil, errors.New("no answer") }

func TestAccountCannotBeListed(t *testing.T) {
	w := newWorld(testConfig())
	w.mailbox.directory = unlisted{}
	w.post(Push{})
	w.settle()
	if want := "unreachable: the account's devices could not be listed: no answer"; len(w.refused) != 1 || w.refused[0] != want {
		t.Errorf("refused: %q, want %q", w.refused, want)
	}
	if n := w.mailbox.Stats().Pending; n != 0 {
		t.Errorf("%d are pending", n)
	}
}

// mostly knows one device, and that a node which is gone may know more.
type mostly struct{ device string }

func (d mostly) Devices(_ string, dst []string) ([]string, error) {
	return append(dst, d.device), ErrIncomplete
}

// hearer notes what a push's watcher is told first.
type hearer struct {
	*world
	why []string
}

func (h *hearer) Kept(id session.ID, devices int, refused session.Outcome, why string) {
	h.why = append(h.why, fmt.Sprintf("%d %v: %s", devices, refused, why))
	h.world.Kept(id, devices, refused, why)
}

// TestAccountIsNotKnownWhole: who pushes is told, and the devices that are known get it.
func TestAccountIsNotKnownWhole(t *testing.T) {
	w := newWorld(testConfig())
	w.mailbox.directory = mostly{"d"}
	h := &hearer{world: w}
	for _, brief := range []bool{false, true} {
		w.mailbox.Post(&Push{Account: "a", Payload: []byte("x"), ExpiresMS: w.mailbox.now() + 1000, Brief: brief}, h)
	}
	w.settle()
	want := "1 pending: " + ErrIncomplete.Error()
	if len(h.why) != 2 || h.why[0] != want || h.why[1] != want || w.mailbox.Stats().Incomplete != 2 {
		t.Errorf("%q, %d counted; want %q twice", h.why, w.mailbox.Stats().Incomplete, want)
	}
	if n := w.mailbox.Missed(address("d")); n != 2 {
		t.Errorf("%d wait for the device that is known", n)
	}
}

// TestFirst has one of three devices acknowledge a message of which that is enough; one of
// the others has been sent it. A crash comes before the others hear of it, or does not.
func TestFirst(t *testing.T) {
	for _, crash := range []bool{false, true} {
		t.Run(fmt.Sprint("crash ", crash), func(t *testing.T) {
			w := newWorld(testConfig())
			w.work()
			w.devices = []string{"d", "e", "f"}
			w.open("d")
			w.open("e")
			w.post(Push{First: true})
			w.work()
			w.store.sync()
			for len(w.flying) > 0 {
				f := w.flying[0]
				w.arrive(f)
				w.hear(f)
			}
			w.ack(receipt{address("d"), session.ID{Origin: session.Origin{Node: "n1", Epoch: 1}, Number: 2}})
			w.store.sync()
			if crash {
				w.crash()
				delete(w.online, address("e"))
				w.open("e")
			}
			w.open("f")
			w.got = nil
			for w.work() {
			}
			w.store.sync()
			if len(w.flying) > 0 && crash {
				t.Errorf("%v was sent although it was answered", w.flying[0].message.ID)
			}
			if w.store.count() != 0 {
				t.Errorf("%d messages are left", w.store.count())
			}
			_, list, _, _ := w.store.Fates(session.ID{Origin: session.Origin{Node: "n1", Epoch: 1}, Number: 2})
			var got []string
			for _, f := range list {
				got = append(got, f.Device+" "+f.Outcome.String())
			}
			if want := []string{"d acked", "e cancelled", "f cancelled"}; !slices.Equal(got, want) {
				t.Errorf("fates: %v, want %v", got, want)
			}
			if !crash && (!slices.Contains(w.cancelled, "e n1.1.2") || slices.Contains(w.cancelled, "d n1.1.2")) {
				t.Errorf("cancel frames: %v, want one to e", w.cancelled)
			}
			w.check(t)
		})
	}
}

func TestCollapse(t *testing.T) {
	cfg := testConfig()
	cfg.DeviceMessagesMax = 3
	w := newWorld(cfg)
	w.work()
	w.postAll(Push{Device: "d", Collapse: "k"}, Push{Device: "d"}, Push{Device: "d", Collapse: "l"})
	w.postAll(Push{Device: "d", Collapse: "k"}) // and the limit does not refuse it
	w.store.sync()
	w.open("d")
	if got, want := w.order("d"), []session.MessageID{3, 4, 5}; !slices.Equal(got, want) {
		t.Errorf("sent %v, want %v", got, want)
	}
	if got := fmt.Sprint(w.became["d n1.1.2"], w.became["d n1.1.5"]); got != "[queued cancelled] [queued written acked]" {
		t.Errorf("the watcher heard %s", got)
	}
	if len(w.refused) != 0 {
		t.Errorf("refused: %q", w.refused)
	}
	w.check(t)
}

func TestFatesAndCancel(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprint("restart ", restart), func(t *testing.T) {
			w := newWorld(testConfig())
			w.work()
			w.devices = []string{"d", "e", "f"}
			w.open("d")
			w.open("e")
			w.post(Push{})
			w.work()
			w.store.sync()
			for len(w.flying) > 0 {
				f := w.flying[0]
				w.arrive(f)
				w.hear(f)
			}
			w.ack(w.got[0])
			w.store.sync()
			id := session.ID{Origin: session.Origin{Node: "n1", Epoch: 1}, Number: 2}
			list, found, err := w.mailbox.Fates(id)
			if got := outcomes(list); got != "d acked, e written, f queued" || !found || err != nil {
				t.Errorf("fates: %s, %v, %v", got, found, err)
			}
			if restart {
				w.crash() // and the pass is not begun
			}
			list, found, err = w.mailbox.Cancel(id)
			if got := outcomes(list); got != "d acked, e cancelled, f cancelled" || !found || err != nil {
				t.Errorf("cancel: %s, %v, %v", got, found, err)
			}
			w.open("f")
			w.open("e")
			if got := append(w.order("f"), w.order("e")...); len(got) != 0 {
				t.Errorf("sent %v after it was cancelled", got)
			}
			if w.store.count() != 0 || len(w.mailbox.shards[0].boxes) != 0 {
				t.Errorf("%d messages and %d boxes are left", w.store.count(), len(w.mailbox.shards[0].boxes))
			}
			if _, found, err := w.mailbox.Cancel(session.ID{Number: 7}); found || err != nil {
				t.Errorf("a message that nobody knows: %v, %v", found, err)
			}
			w.check(t)
		})
	}
}

func outcomes(list []Fate) string {
	var s []string
	for _, f := range list {
		s = append(s, f.Device+" "+f.Outcome.String())
	}
	return strings.Join(s, ", ")
}

// lanes gives turns when the test says so.
type lanes struct {
	full  bool
	given []func(done func())
	names []string
	done  int
}

func (l *lanes) Turn(p session.Priority, account string, run func(done func())) bool {
	if l.full {
		return false
	}
	l.given = append(l.given, run)
	l.names = append(l.names, account+" "+p.String())
	return true
}

func TestTurns(t *testing.T) {
	w := newWorld(testConfig())
	l := &lanes{full: true}
	w.mailbox.turns = l
	w.work()
	w.postAll(Push{Device: "d", Priority: session.PriorityLow}, Push{Device: "d"})
	w.open("d")
	if s := w.mailbox.Stats(); s.Turnless != 1 || s.Pauses != 1 || s.Jobs != 0 {
		t.Errorf("stats: %+v", s)
	}
	l.full = false
	w.tick(60_000)
	if w.work() {
		t.Error("a device was drained before its turn")
	}
	for len(l.given) > 0 {
		run := l.given[0]
		l.given = l.given[1:]
		run(func() { l.done++ })
		w.work()
	}
	if got := strings.Join(l.names, ", "); got != "a normal, a low" || l.done != 2 {
		t.Errorf("turns: %s, %d of them over", got, l.done)
	}
	if len(w.flying) != 2 {
		t.Errorf("%d messages were sent, want 2", len(w.flying))
	}
	w.check(t)
}

// TestUnwatch wants no word after it, and none to be remembered.
func TestUnwatch(t *testing.T) {
	w := newWorld(testConfig())
	w.work()
	w.postAll(Push{Device: "d"})
	id := session.ID{Origin: session.Origin{Node: "n1", Epoch: 1}, Number: 2}
	w.mailbox.Unwatch(id, w)
	if n := w.mailbox.Stats().Watched; n != 0 {
		t.Errorf("%d are watched", n)
	}
	w.open("d")
	w.order("d")
	if got := fmt.Sprint(w.became["d n1.1.2"]); got != "[queued]" {
		t.Errorf("the watcher heard %s", got)
	}
}

// TestLookAgain has devices come online of which the mailbox is not told.
func TestLookAgain(t *testing.T) {
	w := newWorld(testConfig())
	w.work()
	w.postAll(Push{Device: "d"}, Push{Device: "e"})
	w.connect("d")
	w.mailbox.LookAgain()
	w.mailbox.LookAgain()
	if got := w.order("d"); len(got) != 1 || w.store.count() != 1 {
		t.Errorf("sent %v, %d are left, want one each", got, w.store.count())
	}
	w.check(t)
}

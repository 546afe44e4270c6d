package mailbox

import (
	"slices"
	"strings"
	"sync"

	"github.com/roostpush/roost/session"
)

// twin is a store in memory that is obviously right. What is posted or settled is on disk
// only from the next sync on, which is called by the test, or at once if immediate is set; a crash
// loses the rest.
type twin struct {
	mu        sync.Mutex
	mail      []session.Kept // in the order of ids for each device
	fates     map[session.ID][]Fate
	accounts  map[session.ID]string
	log       []func() (done func(error)) // posted or settled, not synced
	names     []string                    // of those
	posts     int                         // of those the ones posted
	immediate bool
	refuse    error // what Post says
	unread    error // what everything that reads says
	reads     int
	keys      []twinKey
}

// twinKey is an idempotency key on disk.
type twinKey struct {
	key     session.Key
	id      session.ID
	devices int
}

func newTwin() *twin {
	return &twin{fates: map[session.ID][]Fate{}, accounts: map[session.ID]string{}}
}

func (t *twin) Post(list []session.Kept, done func(error)) {
	if t.refuse != nil {
		done(t.refuse)
		return
	}
	list = slices.Clone(list)
	for i := range list {
		list[i].Payload = slices.Clone(list[i].Payload)
	}
	t.append("post "+list[0].ID.Text(), func() func(error) {
		t.posts--
		for _, k := range list {
			at, dup := slices.BinarySearchFunc(t.mail, k.ID, func(a session.Kept, id session.ID) int { return compareIDs(a.ID, id) })
			for dup && at < len(t.mail) && t.mail[at].ID == k.ID {
				at++
			}
			t.mail = slices.Insert(t.mail, at, k)
			t.fates[k.ID] = append(t.fates[k.ID], Fate{k.Device, session.Queued, k.SentMS})
			t.accounts[k.ID] = k.Account
		}
		if k := &list[0]; k.Key.GoneMS > 0 {
			t.keys = append(t.keys, twinKey{k.Key, k.ID, len(list)})
		}
		return done
	})
}

func (t *twin) Settle(a session.Address, id session.ID, o session.Outcome, atMS int64) {
	t.append("settle "+a.Device+" "+id.Text()+o.String(), func() func(error) {
		t.mail = slices.DeleteFunc(t.mail, func(k session.Kept) bool { return k.ID == id && k.Address == a })
		for i := range t.fates[id] {
			if f := &t.fates[id][i]; f.Device == a.Device {
				f.Outcome, f.AtMS = o, atMS
			}
		}
		return nil
	})
}

func (t *twin) Note(a session.Address, id session.ID, o session.Outcome, atMS int64) {
	a.Device = strings.Clone(a.Device)
	t.append("note "+a.Device+" "+id.Text()+o.String(), func() func(error) {
		t.fates[id] = append(t.fates[id], Fate{a.Device, o, atMS})
		return nil
	})
}

func (t *twin) append(name string, f func() func(error)) {
	t.mu.Lock()
	t.log, t.names = append(t.log, f), append(t.names, name)
	if strings.HasPrefix(name, "post") {
		t.posts++
	}
	t.mu.Unlock()
	if t.immediate {
		t.sync()
	}
}

// sync puts everything on disk and says so.
func (t *twin) sync() {
	t.mu.Lock()
	var told []func(error)
	for _, f := range t.log {
		if done := f(); done != nil {
			told = append(told, done)
		}
	}
	t.log, t.names = nil, nil
	t.mu.Unlock()
	for _, done := range told {
		done(nil)
	}
}

func (t *twin) unsynced() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.log)
}

// crash loses what is not on disk.
func (t *twin) crash() { t.log, t.names, t.posts = nil, nil, 0 }

func (t *twin) Mail(dst []session.Kept, a session.Address, after session.ID, n, bytesMax int) ([]session.Kept, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reads++
	if t.unread != nil {
		return dst, t.unread
	}
	bytes := 0
	for _, k := range t.mail {
		if k.Address != a || compareIDs(k.ID, after) <= 0 {
			continue
		}
		if bytes += len(k.Payload); n == 0 || bytes > bytesMax && bytes > len(k.Payload) {
			break
		}
		dst = append(dst, k)
		n--
	}
	return dst, nil
}

func (t *twin) Mailboxes(emit func(a session.Address, id session.ID, expiresMS int64, collapse string) bool) error {
	t.mu.Lock()
	all, err := slices.Clone(t.mail), t.unread
	t.mu.Unlock()
	if err != nil {
		return err
	}
	slices.SortStableFunc(all, func(a, b session.Kept) int { return strings.Compare(a.String(), b.String()) })
	for _, k := range all {
		if !emit(k.Address, k.ID, k.ExpiresMS, k.Collapse) {
			break
		}
	}
	return nil
}

func (t *twin) Fates(id session.ID) (account string, list []Fate, found bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	list, found = t.fates[id]
	return t.accounts[id], slices.Clone(list), found, t.unread
}

func (t *twin) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.mail)
}

func (t *twin) Keys(nowMS int64, emit func(k session.Key, id session.ID, devices int) bool) error {
	t.mu.Lock()
	all, err := slices.Clone(t.keys), t.unread
	t.mu.Unlock()
	if err != nil {
		return err
	}
	slices.SortStableFunc(all, func(a, b twinKey) int { return int(a.key.GoneMS - b.key.GoneMS) })
	for _, k := range all {
		if k.key.GoneMS > nowMS && !emit(k.key, k.id, k.devices) {
			break
		}
	}
	return nil
}

func (t *twin) FileKeys(list []session.FiledKey, done func(error)) {
	if t.refuse != nil {
		done(t.refuse)
		return
	}
	list = slices.Clone(list)
	t.append("keys", func() func(error) {
		for _, k := range list {
			t.keys = slices.DeleteFunc(t.keys, func(x twinKey) bool { return x.key.Hash == k.Hash && x.key.GoneMS == k.GoneMS })
			t.keys = append(t.keys, twinKey{k.Key, k.ID, k.Devices})
		}
		return done
	})
}

func (t *twin) ForgetKey(k session.Key) {
	t.append("forget", func() func(error) {
		t.keys = slices.DeleteFunc(t.keys, func(x twinKey) bool { return x.key.Hash == k.Hash && x.key.GoneMS == k.GoneMS })
		return nil
	})
}

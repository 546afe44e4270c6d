package sim

import (
	"cmp"
	"errors"
	"slices"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/mailbox"
)

// disk is what a node has written: a store in memory that is obviously right. What was not
// synced is lost with the process, and a sync takes time, during which more is collected, as
// with a group commit. It outlives the process, unless it is lost as well.
type disk struct {
	w     *world
	mail  map[session.Address][]session.Kept // in the order of ids
	fates map[session.ID]*fates
	keys  map[[16]byte]diskKey // idempotency keys
	log   []record             // posted or settled, not synced
}

type fates struct {
	account string
	list    []mailbox.Fate
}

// record is one entry that waits for the sync: messages that are posted together, or the
// end of one.
type record struct {
	post    []session.Kept
	done    func(error)
	settled *letter
	outcome session.Outcome
	atMS    int64
	keys    []session.FiledKey
	forget  session.Key
}

var errFull = errors.New("the disk is full")

func newDisk(w *world) *disk {
	return &disk{w: w, mail: map[session.Address][]session.Kept{}, fates: map[session.ID]*fates{}, keys: map[[16]byte]diskKey{}}
}

// shelf is a disk as one process uses it (mailbox.Store).
type shelf struct {
	*disk
	n *process
}

func (s shelf) Post(list []session.Kept, done func(error)) {
	if s.w.chance(s.w.weather.full) {
		done(errFull)
		return
	}
	list = slices.Clone(list)
	for i := range list {
		list[i].Payload = slices.Clone(list[i].Payload)
		s.w.posted(s.n, &list[i])
	}
	s.append(record{post: list, done: done})
}

func (s shelf) Settle(a session.Address, id session.ID, o session.Outcome, atMS int64) {
	if l := s.w.settled(s.n, a, id, o); l != nil {
		s.append(record{settled: l, outcome: o, atMS: atMS})
		if s.n.doomed {
			s.w.after(0, s.n.meetDoom)
		}
	}
}

// Note is of use to those who ask for fates, and nobody does here.
func (s shelf) Note(session.Address, session.ID, session.Outcome, int64) {}

// append has something written with the next sync.
func (s shelf) append(r record) {
	if s.log = append(s.log, r); len(s.log) == 1 {
		s.w.after(s.w.between(ms, 12*ms), s.sync)
	}
}

// sync puts everything on disk, and says so.
func (s shelf) sync() {
	if !s.n.up {
		return
	}
	log := s.log
	s.log = nil
	for i := range log {
		s.write(&log[i])
	}
	for i := range log {
		if log[i].done != nil {
			log[i].done(nil)
		}
	}
	s.n.keeping.touched()
}

func (s shelf) write(r *record) {
	s.writeKeys(r)
	for _, k := range r.post {
		list := s.mail[k.Address]
		at, known := slices.BinarySearchFunc(list, k.ID, func(a session.Kept, id session.ID) int { return compareIDs(a.ID, id) })
		if known { // it was handed over before, and the node crashed
			list[at] = k
		} else {
			s.mail[k.Address] = slices.Insert(list, at, k)
		}
		f := s.fates[k.ID]
		if f == nil {
			f = &fates{account: k.Account}
			s.fates[k.ID] = f
		}
		f.list = slices.DeleteFunc(f.list, func(f mailbox.Fate) bool { return f.Device == k.Device })
		f.list = append(f.list, mailbox.Fate{Device: k.Device, Outcome: session.Queued, AtMS: k.SentMS})
		s.w.letters[letterKey{k.ID, k.Address, s.disk}].stored = s.w.now
	}
	if l := r.settled; l != nil {
		l.durable = true
		s.mail[l.kept.Address] = slices.DeleteFunc(s.mail[l.kept.Address], func(k session.Kept) bool { return k.ID == l.kept.ID })
		for i := range s.fates[l.kept.ID].list {
			if f := &s.fates[l.kept.ID].list[i]; f.Device == l.kept.Device {
				f.Outcome, f.AtMS = r.outcome, r.atMS
			}
		}
	}
}

// crash loses what was not synced.
func (d *disk) crash() {
	for i := range d.log {
		for _, k := range d.log[i].post {
			d.w.letters[letterKey{k.ID, k.Address, d}].void = true
		}
		if l := d.log[i].settled; l != nil {
			l.outcome, l.by = session.Pending, nil
			d.w.mail.unsettled++
		}
	}
	d.log = nil
}

func (s shelf) Mail(dst []session.Kept, a session.Address, after session.ID, n, bytesMax int) ([]session.Kept, error) {
	bytes := 0
	for _, k := range s.mail[a] {
		if compareIDs(k.ID, after) <= 0 {
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

func (s shelf) Mailboxes(emit func(a session.Address, id session.ID, expiresMS int64, collapse string) bool) error {
	for _, d := range s.w.devices { // in an order that repeats
		for _, k := range s.mail[d.name] {
			if !emit(k.Address, k.ID, k.ExpiresMS, k.Collapse) {
				return nil
			}
		}
	}
	return nil
}

func (s shelf) Fates(id session.ID) (account string, list []mailbox.Fate, found bool, err error) {
	f := s.fates[id]
	if f == nil {
		return "", nil, false, nil
	}
	return f.account, slices.Clone(f.list), true, nil
}

// compareIDs is the order in which a device gets its messages.
func compareIDs(a, b session.ID) int {
	return cmp.Or(cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.Number, b.Number), cmp.Compare(a.Node, b.Node))
}

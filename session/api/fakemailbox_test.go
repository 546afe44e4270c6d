package api

import (
	"strings"
	"sync"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/deliver"
	"github.com/roostpush/roost/session/mailbox"
)

// fakeMailbox keeps messages in memory and tries each device once. The devices of an
// account are those that are connected or in records.
type fakeMailbox struct {
	n      *testNode
	refuse session.Outcome // every push; Pending: none
	stuck  bool            // the disk says nothing
	lacks  bool            // a node is gone that may remember more devices

	unheard mailbox.Watcher // of the last push to a disk that says nothing

	mu      sync.Mutex
	fates   map[session.ID][]mailbox.Fate
	watched map[session.ID]mailbox.Watcher
	last    mailbox.Push // strings and payload cloned
	newest  session.ID
	traces  []string // of all pushes
}

func (b *fakeMailbox) Post(p *mailbox.Push, w mailbox.Watcher) {
	devices := b.devices(p)
	b.mu.Lock()
	b.last = *p
	b.traces = append(b.traces, strings.Clone(p.Trace))
	b.last.Account, b.last.Device, b.last.Collapse = strings.Clone(p.Account), strings.Clone(p.Device), strings.Clone(p.Collapse)
	b.last.Payload = []byte(string(p.Payload))
	b.mu.Unlock()
	switch {
	case b.stuck:
		b.unheard = w
		return
	case b.refuse != session.Pending:
		w.Kept(session.ID{}, 0, b.refuse, "a limit")
		return
	case len(devices) == 0:
		w.Kept(session.ID{}, 0, session.Offline, "nobody")
		return
	}
	id := b.n.router.NewID()
	b.mu.Lock()
	if b.newest = id; !p.Brief {
		b.watched[id] = w
	}
	for _, d := range devices {
		b.fates[id] = append(b.fates[id], mailbox.Fate{Device: strings.Clone(d), Outcome: session.Queued, AtMS: p.SentMS})
	}
	why := ""
	if b.lacks {
		why = mailbox.ErrIncomplete.Error()
	}
	w.Kept(id, len(devices), session.Pending, why)
	b.mu.Unlock()
	for _, d := range devices {
		k := session.Kept{ID: id, Address: session.Address{Account: p.Account, Device: d}, Kind: p.Kind, Payload: p.Payload, SentMS: p.SentMS}
		device := strings.Clone(d)
		b.n.router.Attempt(&k, 0, func(o session.Outcome) {
			if o != session.Written {
				o = session.Queued
			}
			b.became(id, device, o)
		})
	}
}

func (b *fakeMailbox) Online(a session.Address) (uint64, bool) {
	s := b.n.reg.Lookup(a.Account, a.Device)
	return 1, s != nil
}

func (b *fakeMailbox) devices(p *mailbox.Push) (list []string) {
	if p.Device != "" {
		return []string{p.Device}
	}
	for _, s := range b.n.reg.AppendAccount(nil, p.Account) {
		list = append(list, s.Device)
	}
	return list
}

// became notes an outcome, unless there is a final one, and tells who watches.
func (b *fakeMailbox) became(id session.ID, device string, o session.Outcome) (fresh bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, f := range b.fates[id] {
		if f.Device != device || f.Outcome != session.Queued && f.Outcome != session.Written {
			continue
		}
		b.fates[id][i].Outcome = o
		if w := b.watched[id]; w != nil {
			w.Became(id, device, o)
		}
		return true
	}
	return false
}

// ack is a device's ack of the newest message.
func (b *fakeMailbox) ack(device string) {
	b.mu.Lock()
	id := b.newest
	b.mu.Unlock()
	b.became(id, device, session.Acked)
}

func (b *fakeMailbox) Unwatch(id session.ID, w mailbox.Watcher) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.watched[id] == w {
		delete(b.watched, id)
	}
}

func (b *fakeMailbox) watching() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.watched)
}

func (b *fakeMailbox) posted() mailbox.Push {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last
}

func (b *fakeMailbox) Fates(id session.ID) ([]mailbox.Fate, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	list, found := b.fates[id]
	return append([]mailbox.Fate(nil), list...), found, nil
}

func (b *fakeMailbox) Cancel(id session.ID) ([]mailbox.Fate, bool, error) {
	list, _, _ := b.Fates(id)
	for _, f := range list {
		b.became(id, f.Device, session.Cancelled)
	}
	return b.Fates(id)
}

// instantMailbox keeps nothing and says at once that it has the push and the device too.
type instantMailbox struct {
	Keeper
	router *deliver.Router
}

func (b instantMailbox) Post(p *mailbox.Push, w mailbox.Watcher) {
	id := b.router.NewID()
	w.Kept(id, 1, session.Pending, "")
	w.Became(id, p.Device, session.Written)
}

func (instantMailbox) Unwatch(session.ID, mailbox.Watcher) {}

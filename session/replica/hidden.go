package replica

import (
	"sync"

	"github.com/roostpush/roost/session/wire"
)

// hidden are devices whose newest entry is a tombstone with an older, open one under it, of
// another node: a device that came back to a node whose clock is behind, or whose closing was
// heard of late. That entry leads to the device as soon as the tombstone has gone, and no log says
// a word then. So it is noted when the tombstone comes, or the entry under it, and looked at as
// often as tombstones age; whoever waits for the device is told by Online.
type hidden struct {
	mu    sync.Mutex
	list  []uint64          // addresses, in the order of noting
	noted map[uint64]uint64 // and their accounts; 0: a log that was passed on did not say
	ages  int               // of the table, since the start
	until int               // those up to which everybody is to look again, since not all could be noted
}

// A tombstone of today has gone after agesMax ages (route's limit of tombstone_ages). If not all
// could be noted everybody looks again each agesStep of them until then.
const (
	agesMax  = 64
	agesStep = 8
)

// hide notes the device of a change if its entry is hidden. The table must have the change.
func (r *Replica) hide(address, account uint64) {
	if r.Online == nil || !r.Table.Hides(address) {
		return
	}
	h := &r.hidden
	h.mu.Lock()
	defer h.mu.Unlock()
	r.noteHiddenLocked(address, account)
}

func (r *Replica) noteHiddenLocked(address, account uint64) {
	h := &r.hidden
	if before, known := h.noted[address]; known {
		if before == 0 {
			h.noted[address] = account
		}
		return
	}
	if len(h.list) >= r.cfg.HiddenMax {
		r.unhidden.Add(1)
		h.until = h.ages + agesMax
		return
	}
	h.noted[address] = account
	h.list = append(h.list, address)
}

// hideLoaded notes those entries of a snapshot, which is not visible yet, that a tombstone will
// hide when it is swapped in.
func (r *Replica) hideLoaded(c *wire.Change) {
	if r.Online == nil {
		return
	}
	if newest, ok := r.Table.Lookup(c.Address); !ok || !newest.Closed || newest.Version < c.Version {
		return
	}
	r.hidden.mu.Lock()
	defer r.hidden.mu.Unlock()
	r.noteHiddenLocked(c.Address, c.Account)
}

// reveal tells of devices that have come to light. It follows each ageing of the tombstones and
// is called by Tick only, with no mutex held.
func (r *Replica) reveal() {
	if r.Online == nil {
		return
	}
	h := &r.hidden
	h.mu.Lock()
	var open []wire.Change
	kept := h.list[:0]
	for _, address := range h.list {
		newest, ok := r.Table.Lookup(address)
		if ok && newest.Closed {
			kept = append(kept, address)
			continue
		}
		account := h.noted[address]
		delete(h.noted, address)
		if ok && newest.Author != r.own.set {
			open = append(open, wire.Change{Address: address, Account: account, Version: newest.Version})
		}
	}
	h.list = kept
	h.ages++
	everybody := h.ages <= h.until && h.ages%agesStep == 0
	h.mu.Unlock()
	if len(open) > 0 {
		r.revealed.Add(uint64(len(open)))
		r.Online("", open)
	}
	if everybody {
		r.Online("", nil)
	}
}

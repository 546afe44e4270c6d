package replica

import (
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// transfer is the answer to one LogRequest, sent in pieces as the link takes them. What
// is guarded by Replica.mu are to, author and over; the rest belongs to the pump.
type transfer struct {
	to     string
	author session.Origin
	over   bool // it is to be forgotten

	next   uint64 // change that is sent next; 0: a snapshot
	begun  bool
	set    Author // of a snapshot of another's set
	cursor uint64
	chunk  wire.SnapshotChunk
	ended  bool // the walk of a snapshot came to its end
	failed int  // pumps in which the link took nothing
}

// failedMax is in how many pumps one after another a link may take nothing until a
// transfer is given up; the peer asks again.
const failedMax = 200

// request takes the wish of a peer for a log. One that it repeats begins the
// former again.
func (r *Replica) request(from string, m *wire.LogRequest) {
	if m.Author != r.self {
		if a := r.byNode[m.Author.Node]; a == nil || a.origin.Epoch != m.Author.Epoch || a.state != live || a.incomplete {
			r.stats.DroppedStrange++
			return
		}
	}
	for i, t := range r.transfers {
		if t.to == from && t.author == m.Author && !t.over {
			t.over = true
			r.transfers[i] = &transfer{to: from, author: m.Author, next: m.From} // it keeps its turn
			return
		}
	}
	if len(r.transfers) >= r.cfg.TransfersMax {
		r.stats.DroppedTransfers++
		return
	}
	r.transfers = append(r.transfers, &transfer{to: from, author: m.Author, next: m.From})
}

// pump sends ChunksPerTick pieces of the transfers there are, in turn. It does nothing
// when it is running already, so that each transfer's pieces leave in order.
func (r *Replica) pump(nowMS int64) {
	if !r.ticking.TryLock() {
		return
	}
	defer r.ticking.Unlock()
	for budget := r.cfg.ChunksPerTick; budget > 0; {
		moved := false
		for i := 0; budget > 0; i++ {
			t := r.transferAt(&i)
			if t == nil {
				break
			}
			if r.step(t) {
				moved = true
				budget--
			}
		}
		if !moved {
			return
		}
	}
}

// transferAt returns the transfer at or after *i that is not over, and forgets those
// that are.
func (r *Replica) transferAt(i *int) *transfer {
	r.mu.Lock()
	defer r.mu.Unlock()
	for *i < len(r.transfers) {
		if t := r.transfers[*i]; !t.over {
			return t
		}
		r.transfers = append(r.transfers[:*i], r.transfers[*i+1:]...)
	}
	return nil
}

// step sends the next piece of a transfer; false: nothing went out.
func (r *Replica) step(t *transfer) bool {
	var message any
	delta := r.suffix(t)
	switch {
	case len(delta.Changes) > 0:
		message = &delta
	case t.next != 0: // nothing is missing any more
		r.end(t)
		return false
	case !r.fill(t):
		r.end(t)
		return false
	case len(t.chunk.Changes) == 0 && !t.chunk.Last:
		return true // the walk goes on next time
	default:
		message = &t.chunk
	}
	if !r.send(t.to, message) {
		if t.failed++; t.failed > failedMax {
			r.end(t)
		}
		return false
	}
	t.failed = 0
	if t.next != 0 {
		t.next += uint64(len(delta.Changes))
		return true
	}
	if t.chunk.Last {
		r.end(t)
	}
	t.chunk.Index++
	t.chunk.Changes = t.chunk.Changes[:0]
	return true
}

func (r *Replica) end(t *transfer) {
	r.mu.Lock()
	t.over = true
	r.mu.Unlock()
}

// suffix returns the changes that are next, as many as fit a message. If they are no
// longer kept the transfer becomes a snapshot, and there are none.
func (r *Replica) suffix(t *transfer) wire.Delta {
	d := wire.Delta{Author: t.author, First: t.next}
	if t.next == 0 {
		return d
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	log := r.logLocked(t.author)
	if log == &r.own.log {
		r.own.mu.Lock()
		defer r.own.mu.Unlock()
	}
	switch {
	case log == nil:
	case log.has(t.next):
		d.Changes = log.run(nil, t.next, r.cfg.ChunkChanges)
		if !t.begun && len(d.Changes) > 0 {
			t.begun = true
			r.stats.Suffixes++
			r.countRelayed(t)
		}
	default:
		t.next = 0
	}
	return d
}

// logLocked returns the kept changes of a log; nil: it is not followed here.
func (r *Replica) logLocked(o session.Origin) *ring {
	if o == r.self {
		return &r.own.log
	}
	if a := r.byNode[o.Node]; a != nil && a.origin == o && a.state == live {
		return &a.recent
	}
	return nil
}

func (r *Replica) countRelayed(t *transfer) {
	if t.author != r.self {
		r.stats.Relayed++
	}
}

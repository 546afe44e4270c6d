package replica

import "github.com/roostpush/roost/session/wire"

// walkSteps bounds how far a walk goes for one chunk: in a table of many nodes the
// entries of one are few, and others want the pump too.
const walkSteps = 64

// fill puts entries into the transfer's chunk until it is about full, the walk is over,
// or it went far enough for this time; false: there is nothing to walk any more. A chunk
// that is full already, because the link did not take it, stays.
func (r *Replica) fill(t *transfer) bool {
	if !r.beginSnapshot(t) {
		return false
	}
	for n := 0; n < walkSteps && !t.ended && len(t.chunk.Changes) <= r.cfg.ChunkChanges/2; n++ {
		if t.author == r.self {
			r.walkSessions(t)
		} else if !r.walkSet(t) {
			return false
		}
	}
	t.chunk.Last = t.ended
	return true
}

// beginSnapshot notes the head at the beginning of the walk, once: what changes from then
// on is in the log.
func (r *Replica) beginSnapshot(t *transfer) bool {
	if t.begun && t.chunk.Author.Node != "" {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	t.begun = true
	t.chunk = wire.SnapshotChunk{Author: t.author, Seq: r.Head().Seq}
	if t.author != r.self {
		a := r.byNode[t.author.Node]
		if a == nil || a.origin != t.author || a.state != live || a.incomplete {
			return false
		}
		t.chunk.Seq, t.set = a.seq, a.set
	}
	r.stats.Snapshots++
	r.countRelayed(t)
	return true
}

// walkSessions appends own sessions. The registry says which and of what account; the
// version is that of the log, which is the table's: the registry may be a moment
// behind it. A session that the log has closed, or not opened, is not there.
func (r *Replica) walkSessions(t *transfer) {
	from := len(t.chunk.Changes)
	t.chunk.Changes, t.cursor = r.Sessions.AppendOpen(t.chunk.Changes, t.cursor, r.cfg.ChunkChanges-from)
	kept := t.chunk.Changes[:from]
	for _, c := range t.chunk.Changes[from:] {
		version, closed, ok := r.Table.Get(r.own.set, c.Address)
		if ok {
			c.Version = max(c.Version, version)
		}
		if c.Version != 0 && !(ok && closed && version >= c.Version) {
			c.Closed = false
			kept = append(kept, c)
		}
	}
	t.chunk.Changes = kept
	t.ended = t.cursor == 0
}

// walkSet appends entries of another author's set, which have no account; false: the set
// is no longer that author's.
func (r *Replica) walkSet(t *transfer) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a := r.byNode[t.author.Node]; a == nil || a.set != t.set || a.state != live {
		return false
	}
	room := r.cfg.ChunkChanges - len(t.chunk.Changes)
	var more bool
	t.cursor, more = r.Table.Each(t.set, t.cursor, room, func(address, version uint64, closed bool) {
		if !closed {
			t.chunk.Changes = append(t.chunk.Changes, wire.Change{Address: address, Version: version})
		}
	})
	t.ended = !more
	return true
}

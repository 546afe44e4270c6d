package replica

import "github.com/roostpush/roost/session/wire"

// early is one run of changes that came before what precedes them.
type early struct {
	first   uint64
	changes []wire.Change // copies
}

func (e *early) reset() { e.first, e.changes = 0, nil }

// end is the number after the last change.
func (e *early) end() uint64 { return e.first + uint64(len(e.changes)) }

// add keeps the changes of d that continue the run. Changes that leave a hole begin a
// new run: what is before it will be asked for in any case. It returns how many had to
// be dropped: more than max are too many, and then the next ones begin anew.
func (e *early) add(d *wire.Delta, max int) (dropped int) {
	if len(e.changes) == 0 || d.First > e.end() || d.First < e.first {
		dropped = len(e.changes)
		e.first, e.changes = d.First, e.changes[:0]
	}
	end := d.First + uint64(len(d.Changes))
	if end <= e.end() {
		return dropped
	}
	e.changes = append(e.changes, d.Changes[e.end()-d.First:]...)
	if len(e.changes) > max {
		dropped += len(e.changes)
		e.reset()
	}
	return dropped
}

// reaches says whether the run has all changes from first to last.
func (e *early) reaches(first, last uint64) bool {
	return len(e.changes) > 0 && e.first <= first && e.end() > last
}

// take gives away the changes from next on, if they are here.
func (e *early) take(next uint64) []wire.Change {
	if len(e.changes) == 0 || next < e.first {
		return nil
	}
	changes := e.changes[min(next-e.first, uint64(len(e.changes))):]
	e.reset()
	return changes
}

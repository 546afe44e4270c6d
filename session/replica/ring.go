package replica

import "github.com/roostpush/roost/session/wire"

// ring keeps the newest changes of one log. It allocates its memory with the first
// change. The owner of the log guards it.
type ring struct {
	changes []logged
	max     int
	head    uint64 // number of the newest change, 0: none yet
	kept    int    // how many up to head are here
}

// logged is a change in three words instead of four: versions end at versionMax.
type logged struct {
	address, account uint64
	version          uint64 // and the lowest bit says closed
}

func loggedOf(c *wire.Change) logged {
	l := logged{c.Address, c.Account, c.Version << 1}
	if c.Closed {
		l.version |= 1
	}
	return l
}

func (l *logged) change() wire.Change {
	return wire.Change{Address: l.address, Account: l.account, Version: l.version >> 1, Closed: l.version&1 != 0}
}

// reset says that the log is known to be at head, and nothing of it is kept.
func (r *ring) reset(head uint64) { r.head, r.kept = head, 0 }

func (r *ring) append(c wire.Change) {
	if r.changes == nil {
		r.changes = make([]logged, r.max)
	}
	r.head++
	r.changes[r.head%uint64(r.max)] = loggedOf(&c)
	r.kept = min(r.kept+1, r.max)
}

// has says whether the changes from first to head are all here. That is so, too, when
// first is the next one that will come.
func (r *ring) has(first uint64) bool {
	return first > r.head-uint64(r.kept) && first <= r.head+1
}

// run appends at most n changes from first on, which must be here.
func (r *ring) run(dst []wire.Change, first uint64, n int) []wire.Change {
	for i := first; i <= r.head && n > 0; i, n = i+1, n-1 {
		dst = append(dst, r.changes[i%uint64(r.max)].change())
	}
	return dst
}

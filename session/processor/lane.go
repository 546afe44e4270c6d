package processor

import (
	"github.com/roostpush/roost/session"
)

// account is whoever's tasks share their turns: an account, or a topic. It lives as long
// as it has tasks that wait or run in its lane.
type account struct {
	key     uint64
	waiting queue
	running int
	next    *account // in the lane's ring, or among the spare
	listed  bool     // in the ring
}

// lane holds the tasks of one priority. The accounts that have one to begin, and may, are
// in a ring and begin one each in turn: what one of them waits for depends on how many
// others there are, never on how much they have handed in.
type lane struct {
	priority session.Priority
	cfg      LaneConfig

	accounts    map[uint64]*account
	first, last *account // the ring
	spare       *account
	keys        map[uint64]*task // the last task of each order key; those before it lead to it

	// pass is when the lane is due, in the time of the schedule; it moves by stride for
	// each task that is begun (Waldspurger and Weihl, Stride Scheduling, 1995).
	pass, stride uint64
	due          bool // it had something to begin when the schedule looked last

	running, waiting int
	turns            int // turns that wait or run

	held         list // records without a result
	records      int
	bytes        int
	full         bool          // takes no more until there is room again
	room         chan struct{} // closed when there is; nil: nobody has asked
	payloadBytes int           // of the largest payload, for which room is made
}

// strideUnit is the stride of a lane of weight 1.
const strideUnit = 1 << 20

func (l *lane) reset(p session.Priority, cfg LaneConfig, payloadBytes int) {
	*l = lane{
		priority: p, cfg: cfg, stride: strideUnit / uint64(cfg.Weight), payloadBytes: payloadBytes,
		accounts: map[uint64]*account{}, keys: map[uint64]*task{},
	}
}

// order puts t behind the task before it with its key, if there is one. It reports
// whether there is none, so that t may be begun.
func (l *lane) order(t *task) bool {
	key := t.record.Key
	if key == 0 {
		return true
	}
	before := l.keys[key]
	l.keys[key] = t
	if before == nil {
		return true
	}
	before.after = t
	t.state = behind
	return false
}

// unorder ends t's place in the order of its key and returns the task that may be begun
// now, if there is one.
func (l *lane) unorder(t *task) *task {
	after := t.after
	t.after = nil
	if key := t.record.Key; key != 0 && after == nil {
		delete(l.keys, key)
	}
	return after
}

// enqueue has t begin when it is its account's turn.
func (l *lane) enqueue(t *task, accountMax int) {
	a := l.accounts[t.party]
	if a == nil {
		a = l.newAccount(t.party)
	}
	t.state = waiting
	a.waiting.push(t)
	l.waiting++
	l.list(a, accountMax)
}

func (l *lane) newAccount(key uint64) *account {
	a := l.spare
	if a == nil {
		a = new(account)
	} else {
		l.spare, a.next = a.next, nil
	}
	a.key = key
	l.accounts[key] = a
	return a
}

// list puts an account at the end of the ring, if it has a task that it may begin.
func (l *lane) list(a *account, accountMax int) {
	if a.listed || a.waiting.first == nil || a.running >= accountMax {
		return
	}
	a.listed = true
	if l.last == nil {
		l.first = a
	} else {
		l.last.next = a
	}
	l.last = a
}

// ready reports whether the lane has a task that it may begin.
func (l *lane) ready() bool { return l.first != nil && l.running < l.cfg.Concurrency }

// begin takes the next task of the account whose turn it is. The lane must be ready.
func (l *lane) begin(accountMax int) *task {
	a := l.first
	if l.first = a.next; l.first == nil {
		l.last = nil
	}
	a.next, a.listed = nil, false
	t := a.waiting.pop()
	l.waiting--
	l.running++
	a.running++
	t.state, t.account = running, a
	l.list(a, accountMax)
	return t
}

// end gives back the place of a task that was begun.
func (l *lane) end(t *task, accountMax int) {
	a := t.account
	t.account = nil
	l.running--
	a.running--
	if a.running == 0 && a.waiting.first == nil {
		delete(l.accounts, a.key)
		a.next, l.spare = l.spare, a
		return
	}
	l.list(a, accountMax)
}

// accept takes a record into what the lane holds; false: there is no room.
func (l *lane) accept(t *task) bool {
	size := len(t.record.Payload)
	if l.full || l.records >= l.cfg.RecordsMax || l.bytes+size > l.cfg.BytesMax {
		l.full = true
		return false
	}
	l.records++
	l.bytes += size
	l.held.add(t)
	return true
}

// dismiss takes a record out of what the lane holds. Once it was full there is room only
// when an eighth is free, and enough for a payload of any size: sources would be woken
// for each record otherwise.
func (l *lane) dismiss(t *task) {
	l.records--
	l.bytes -= len(t.record.Payload)
	l.held.remove(t)
	if !l.full || l.records > l.cfg.RecordsMax*7/8 || l.bytes > min(l.cfg.BytesMax*7/8, l.cfg.BytesMax-l.payloadBytes) {
		return
	}
	l.full = false
	if l.room != nil {
		close(l.room)
		l.room = nil
	}
}

// list is a list of records, oldest first.
type list struct{ oldest, newest *task }

func (h *list) add(t *task) {
	if t.older = h.newest; t.older == nil {
		h.oldest = t
	} else {
		t.older.newer = t
	}
	h.newest = t
}

func (h *list) remove(t *task) {
	if t.older == nil {
		h.oldest = t.newer
	} else {
		t.older.newer = t.newer
	}
	if t.newer == nil {
		h.newest = t.older
	} else {
		t.newer.older = t.older
	}
	t.older, t.newer = nil, nil
}

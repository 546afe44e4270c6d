package mailbox

import (
	"sync"

	"github.com/roostpush/roost/session"
)

// job is what a goroutine of Run does, because it may block: a box to be drained, a post
// to many devices, a gate, the rest of an account, the pass over the store.
type job interface{ work(w *worker) }

// worker is what a goroutine of Run uses again and again.
type worker struct {
	page    []session.Kept
	devices []string
}

// queue holds the jobs in the order in which they came. It needs no limit of its own:
// what is in it is in a box, or counted by pending_max, or follows an ack.
type queue struct {
	mu      sync.Mutex
	more    sync.Cond
	jobs    []job
	head    int
	delayed []job // for after the next Tick
	closed  bool
}

// Work does one thing that waits for a goroutine of Run, and reports whether there was any.
// It is for an owner that has time in his own hands, as the simulator has, and calls it in
// place of Run; it may block.
func (m *Mailbox) Work() bool {
	j := m.queue.pop(false)
	if j == nil {
		return false
	}
	j.work(&m.alone)
	return true
}

func (q *queue) init() { q.more.L = &q.mu }

func (q *queue) push(j job) {
	q.mu.Lock()
	q.jobs = append(q.jobs, j)
	q.mu.Unlock()
	q.more.Signal()
}

// delay has the job done after the next Tick.
func (q *queue) delay(j job) {
	q.mu.Lock()
	q.delayed = append(q.delayed, j)
	q.mu.Unlock()
}

// wake gets the delayed jobs going.
func (q *queue) wake() {
	q.mu.Lock()
	q.jobs = append(q.jobs, q.delayed...)
	q.delayed = nil
	q.mu.Unlock()
	q.more.Broadcast()
}

// pop takes the next job. If there is none it waits for one, or returns nil at once; after
// close it returns nil.
func (q *queue) pop(wait bool) job {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.head == len(q.jobs) && wait && !q.closed {
		q.more.Wait()
	}
	if q.head == len(q.jobs) || q.closed {
		return nil
	}
	j := q.jobs[q.head]
	q.jobs[q.head] = nil
	q.head++
	if q.head == len(q.jobs) {
		q.jobs, q.head = q.jobs[:0], 0
	} else if q.head > 1024 && q.head > len(q.jobs)/2 {
		n := copy(q.jobs, q.jobs[q.head:])
		clear(q.jobs[n:])
		q.jobs, q.head = q.jobs[:n], 0
	}
	return j
}

func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.more.Broadcast()
}

// length returns how many jobs wait.
func (q *queue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.jobs) - q.head + len(q.delayed)
}

package processor

// state is where a task is. Each task is in one place at a time.
type state uint8

const (
	idle     state = iota // with nobody: in the pool
	behind                // waits for the task before it with its key
	waiting               // in its account's queue, to be begun
	running               // begun, and without its answer
	retrying              // in the wheel, to be tried again
	repeats               // waits for the result of another task with its ID
)

// task is a record on its way to its result, or a turn of the mailbox. It is used again
// and again. All fields are guarded by the processor's mutex, except that whoever runs a
// task may read what Take and Turn have set.
type task struct {
	state state
	lane  *lane

	record *Record
	done   func(Result)
	turn   func(done func()) // not nil: a turn, and there is no record

	party      uint64 // hash of whose turn it takes: the account, or the topic
	deadlineMS int64  // Unix milliseconds from which on it is Expired; 0: never
	endMS      int64  // steady time from which on it is not tried again
	dueMS      int64  // steady time of its next attempt, while it is retrying
	attempts   int
	addressees int    // as the last attempt counted them
	known      *known // of its ID; nil: it has none

	next         *task // in the one queue that it is in
	after        *task // the task behind it with its key
	repeat       *task // first of those that wait for its result, through next
	older, newer *task // in the lane's list of all records that it holds

	account *account     // while it runs
	heard   func(Result) // both made once, for as long as the task is used
	turned  func()
}

// queue is a queue of tasks, through next. A task is in one queue at most.
type queue struct{ first, last *task }

func (q *queue) push(t *task) {
	if q.last == nil {
		q.first = t
	} else {
		q.last.next = t
	}
	q.last = t
}

func (q *queue) pop() *task {
	t := q.first
	if q.first = t.next; q.first == nil {
		q.last = nil
	}
	t.next = nil
	return t
}

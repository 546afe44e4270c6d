// HOT PATH

package processor

import "github.com/roostpush/roost/session"

// schedule decides which task is begun next: the lane by stride, within it the account by
// turns, of that the oldest task. Every step costs the same however much waits. It has no
// lock and no clock: the processor's mutex guards it.
type schedule struct {
	lanes      [session.PriorityCount]lane
	running    int
	runningMax int
	accountMax int    // tasks of one account that run at one moment, in each lane
	now        uint64 // the pass of the lane that was served last
}

// byImportance are the lanes from the most to the least important. It breaks ties.
var byImportance = [session.PriorityCount]session.Priority{session.PriorityHigh, session.PriorityNormal, session.PriorityLow}

func (s *schedule) reset(cfg Config) {
	s.running, s.runningMax, s.accountMax, s.now = 0, cfg.Concurrency, cfg.AccountConcurrency, 0
	s.lanes[session.PriorityHigh].reset(session.PriorityHigh, cfg.High, cfg.PayloadBytesMax)
	s.lanes[session.PriorityNormal].reset(session.PriorityNormal, cfg.Normal, cfg.PayloadBytesMax)
	s.lanes[session.PriorityLow].reset(session.PriorityLow, cfg.Low, cfg.PayloadBytesMax)
}

// add has a new task wait for what its key orders before it, and then for its turn.
func (s *schedule) add(t *task) {
	if t.turn != nil || t.lane.order(t) {
		s.enqueue(t)
	}
}

// enqueue has a task wait for its turn.
func (s *schedule) enqueue(t *task) { t.lane.enqueue(t, s.accountMax) }

// next begins a task; nil if there is none that may. A lane that had nothing to begin
// does not make up for it afterwards, and one that had more than its share still owes.
func (s *schedule) next() *task {
	if s.running >= s.runningMax {
		return nil
	}
	var chosen *lane
	for _, p := range byImportance {
		l := &s.lanes[p]
		ready := l.ready()
		if ready && !l.due && int64(s.now-l.pass) > 0 {
			l.pass = s.now
		}
		l.due = ready
		if ready && (chosen == nil || int64(chosen.pass-l.pass) > 0) {
			chosen = l
		}
	}
	if chosen == nil {
		return nil
	}
	s.now = chosen.pass
	chosen.pass += chosen.stride
	s.running++
	return chosen.begin(s.accountMax)
}

// ready reports whether next would begin a task.
func (s *schedule) ready() bool {
	return s.running < s.runningMax && (s.lanes[0].ready() || s.lanes[1].ready() || s.lanes[2].ready())
}

// end gives back the place of a task that next has begun.
func (s *schedule) end(t *task) {
	s.running--
	t.lane.end(t, s.accountMax)
}

// settled lets the record begin that waited behind t with its key: t has its result.
func (s *schedule) settled(t *task) {
	if after := t.lane.unorder(t); after != nil {
		s.enqueue(after)
	}
}

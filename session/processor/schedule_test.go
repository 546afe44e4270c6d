package processor

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/roostpush/roost/session"
)

// obvious is the schedule as one would write it down: one list of all tasks that wait, in
// the order in which they came to wait, searched from its beginning each time.
type obvious struct {
	cfg     Config
	records []*modelled // without a result, in the order of Take
	waiting []*modelled
	running []*modelled
	pass    map[session.Priority]uint64
	due     map[session.Priority]bool
	now     uint64
	since   map[queuer]int // when an account came to have something that it may begin
	moment  int
}

// queuer is an account in a lane.
type queuer struct {
	lane  session.Priority
	party uint64
}

type modelled struct {
	queuer
	key  uint64
	turn bool
	task *task
}

func (m *obvious) lane(p session.Priority) LaneConfig {
	return map[session.Priority]LaneConfig{session.PriorityHigh: m.cfg.High, session.PriorityNormal: m.cfg.Normal, session.PriorityLow: m.cfg.Low}[p]
}

func count(list []*modelled, is func(*modelled) bool) (n int) {
	for _, x := range list {
		if is(x) {
			n++
		}
	}
	return n
}

// look notes which accounts have come to have something to begin, or have it no more.
func (m *obvious) look() {
	for p := range session.Priority(session.PriorityCount) {
		for party := range uint64(6) {
			q := queuer{p, party}
			mine := func(x *modelled) bool { return x.queuer == q }
			may := count(m.waiting, mine) > 0 && count(m.running, mine) < m.cfg.AccountConcurrency
			if _, might := m.since[q]; may && !might {
				m.moment++
				m.since[q] = m.moment
			} else if !may {
				delete(m.since, q)
			}
		}
	}
}

func (m *obvious) add(x *modelled) {
	if !x.turn {
		m.records = append(m.records, x)
		if x.key != 0 && count(m.records, func(y *modelled) bool { return y.key == x.key && y.lane == x.lane }) > 1 {
			return // behind another
		}
	}
	m.wait(x)
}

func (m *obvious) wait(x *modelled) {
	m.waiting = append(m.waiting, x)
	m.look()
}

func (m *obvious) next() *modelled {
	if len(m.running) >= m.cfg.Concurrency {
		return nil
	}
	var lane session.Priority
	found := false
	for _, p := range []session.Priority{session.PriorityHigh, session.PriorityNormal, session.PriorityLow} {
		ready := count(m.running, func(x *modelled) bool { return x.lane == p }) < m.lane(p).Concurrency
		some := false
		for q := range m.since {
			some = some || q.lane == p
		}
		ready = ready && some
		if ready && !m.due[p] {
			m.pass[p] = max(m.pass[p], m.now)
		}
		m.due[p] = ready
		if ready && (!found || m.pass[p] < m.pass[lane]) {
			lane, found = p, true
		}
	}
	if !found {
		return nil
	}
	m.now = m.pass[lane]
	m.pass[lane] += strideUnit / uint64(m.lane(lane).Weight)
	var who queuer
	for q, since := range m.since {
		if q.lane == lane && (who == queuer{} || since < m.since[who]) {
			who = q
		}
	}
	i := slices.IndexFunc(m.waiting, func(x *modelled) bool { return x.queuer == who })
	x := m.waiting[i]
	m.waiting = slices.Delete(m.waiting, i, i+1)
	m.running = append(m.running, x)
	delete(m.since, who) // it goes to the end of the line
	m.look()
	return x
}

func (m *obvious) end(x *modelled) {
	m.running = slices.DeleteFunc(m.running, func(y *modelled) bool { return y == x })
	m.look()
}

func (m *obvious) settled(x *modelled) {
	m.records = slices.DeleteFunc(m.records, func(y *modelled) bool { return y == x })
	if x.turn || x.key == 0 {
		return
	}
	for _, y := range m.records {
		if y.key == x.key && y.lane == x.lane {
			m.wait(y)
			return
		}
	}
}

// TestScheduleIsTheObviousOne draws everything that can happen to a schedule, and wants
// the same task each time as the obvious one begins.
func TestScheduleIsTheObviousOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := Default()
		cfg.Concurrency = rapid.IntRange(3, 8).Draw(t, "concurrency")
		cfg.AccountConcurrency = rapid.IntRange(1, 3).Draw(t, "account concurrency")
		for _, l := range []*LaneConfig{&cfg.High, &cfg.Normal, &cfg.Low} {
			l.Concurrency = rapid.IntRange(1, 4).Draw(t, "lane concurrency")
			l.Weight = rapid.IntRange(1, 9).Draw(t, "weight")
		}
		var s schedule
		s.reset(cfg)
		m := &obvious{cfg: cfg, pass: map[session.Priority]uint64{}, due: map[session.Priority]bool{}, since: map[queuer]int{}}
		byTask := map[*task]*modelled{}
		var retrying []*modelled
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				x := &modelled{
					queuer: queuer{session.Priority(rapid.IntRange(0, 2).Draw(t, "lane")), uint64(rapid.IntRange(1, 5).Draw(t, "account"))},
					key:    uint64(rapid.IntRange(0, 3).Draw(t, "key")),
					turn:   rapid.IntRange(0, 4).Draw(t, "turn") == 0,
				}
				x.task = &task{lane: &s.lanes[x.lane], party: x.party}
				if x.turn {
					x.key = 0
					x.task.turn = func(func()) {}
				} else {
					x.task.record = &Record{Key: x.key}
				}
				byTask[x.task] = x
				s.add(x.task)
				m.add(x)
			},
			"next": func(t *rapid.T) {
				if s.ready() != (m.probe() != nil) {
					t.Fatalf("ready is %v", s.ready())
				}
				got, want := byTask[s.next()], m.next()
				if got != want {
					t.Fatalf("begins %v, want %v", got, want)
				}
			},
			"end": func(t *rapid.T) {
				if len(m.running) == 0 {
					t.Skip("nothing runs")
				}
				x := rapid.SampledFrom(m.running).Draw(t, "task")
				s.end(x.task)
				m.end(x)
				if !x.turn && rapid.Bool().Draw(t, "again") {
					retrying = append(retrying, x)
					return
				}
				if !x.turn {
					s.settled(x.task)
				}
				m.settled(x)
			},
			"again": func(t *rapid.T) {
				if len(retrying) == 0 {
					t.Skip("nothing is to be tried again")
				}
				i := rapid.IntRange(0, len(retrying)-1).Draw(t, "which")
				x := retrying[i]
				retrying = slices.Delete(retrying, i, i+1)
				s.enqueue(x.task)
				m.wait(x)
			},
			"": func(t *rapid.T) {
				waiting, running := 0, 0
				for i := range s.lanes {
					waiting, running = waiting+s.lanes[i].waiting, running+s.lanes[i].running
				}
				if waiting != len(m.waiting) || running != len(m.running) || s.running != running {
					t.Fatalf("%d wait and %d (%d) run, want %d and %d", waiting, running, s.running, len(m.waiting), len(m.running))
				}
			},
		})
	})
}

// probe is next on a copy.
func (m *obvious) probe() *modelled {
	c := *m
	c.waiting, c.running = slices.Clone(m.waiting), slices.Clone(m.running)
	c.pass, c.due, c.since = map[session.Priority]uint64{}, map[session.Priority]bool{}, map[queuer]int{}
	for k, v := range m.pass {
		c.pass[k] = v
	}
	for k, v := range m.due {
		c.due[k] = v
	}
	for k, v := range m.since {
		c.since[k] = v
	}
	return c.next()
}

func (x *modelled) String() string {
	if x == nil {
		return "nothing"
	}
	return fmt.Sprintf("%v/%d key %d turn %v", x.lane, x.party, x.key, x.turn)
}

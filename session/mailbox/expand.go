package mailbox

import (
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/roostpush/roost/session"
)

// gate holds the pushes of an account from one to all its devices on, until the list of
// those is there, or from one on whose key former homes may know, until they have said, so that a
// later push does not overtake it. It is guarded by its shard's
// mutex, and bounded by pending_max.
type gate struct {
	shard   *shard
	account string
	posts   []*post
}

// joinLocked has the post wait at its account's gate. It returns the gate if that began
// with it, which is to be put into the queue then.
func (s *shard) joinLocked(q *post) (opened *gate) {
	q.own()
	g := s.gates[q.message.Account]
	if g == nil {
		g = &gate{shard: s, account: q.message.Account}
		s.gates[g.account] = g
		opened = g
	}
	g.posts = append(g.posts, q)
	return opened
}

// listers are the goroutines that wait for other nodes, apart from those of Run: a node
// that does not answer holds up the pushes to accounts whose devices or keys it may know, and nothing
// else. There is one for each account that is asked about, ListsMax at most; a job that comes then waits
// for the next that is free.
type listers struct {
	mu      sync.Mutex
	open    bool // Run is under way: goroutines may begin
	running int
	waiting []job // no more than pending_max, which counts their posts
	all     sync.WaitGroup
}

// aside has a goroutine do what waits for other nodes: let an account's posts through its gate, or
// ask what has become of a message. An owner that calls Work in place of Run does it there.
func (m *Mailbox) aside(j job) {
	l := &m.listers
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case !l.open:
		m.queue.push(j)
	case l.running >= m.cfg.ListsMax:
		l.waiting = append(l.waiting, j)
	default:
		l.running++
		l.all.Go(func() {
			var w worker
			for j := j; j != nil; j = l.next() {
				j.work(&w)
			}
		})
	}
}

// next returns the job that has waited longest; nil: there is none, and the goroutine ends.
func (l *listers) next() job {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 || !l.open {
		l.running--
		return nil
	}
	j := l.waiting[0]
	l.waiting[0] = nil
	l.waiting = l.waiting[1:]
	return j
}

// begin lets goroutines begin; end waits until there are none.
func (l *listers) begin() {
	l.mu.Lock()
	l.open = true
	l.mu.Unlock()
}

func (l *listers) end() {
	l.mu.Lock()
	l.open = false
	l.mu.Unlock()
	l.all.Wait()
}

// count returns how many jobs are under way and how many wait for their turn.
func (l *listers) count() (running, waiting int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.running, len(l.waiting)
}

// work lets the posts through in the order in which they came.
func (g *gate) work(w *worker) {
	s := g.shard
	for {
		s.mu.Lock()
		if len(g.posts) == 0 {
			delete(s.gates, g.account)
			s.mu.Unlock()
			return
		}
		q := g.posts[0]
		g.posts[0] = nil
		g.posts = g.posts[1:]
		s.mu.Unlock()
		switch {
		case q.asks && s.mailbox.departure.homes.askOthers(q):
		case q.device == "":
			q.expand(w)
		default:
			s.mu.Lock()
			why := s.reserveLocked(q, q.device)
			s.mu.Unlock()
			q.store(why)
		}
	}
}

// expand makes the post one to each device of its account.
func (q *post) expand(w *worker) {
	m, s := q.mailbox, q.shard
	devices, err := m.directory.Devices(q.message.Account, w.devices[:0])
	if q.incomplete = errors.Is(err, ErrIncomplete); q.incomplete {
		m.count.incomplete.Add(1)
		err = nil
	}
	slices.Sort(devices)
	devices = slices.Compact(devices)
	w.devices = devices
	if i, ok := slices.BinarySearch(devices, q.except); ok {
		devices = slices.Delete(devices, i, i+1)
	}
	refused, why := session.Pending, ""
	switch {
	case err != nil:
		m.count.unlisted.Add(1)
		refused, why = session.Unreachable, "the account's devices could not be listed: "+err.Error()
	case len(devices) == 0:
		refused, why = session.Offline, "no device of the account is connected or remembered"
	case len(devices) > m.cfg.AccountDevicesMax:
		m.count.refusedAccount.Add(1)
		refused, why = session.Overloaded, m.why.accountDevices
	}
	if refused != session.Pending {
		q.refuse(refused, why)
		return
	}
	s.mu.Lock()
	for _, device := range devices {
		if no := s.reserveLocked(q, device); no != "" {
			why = no
			q.refused = append(q.refused, strings.Clone(device))
		}
	}
	s.mu.Unlock()
	if len(q.list) > 0 {
		why = ""
	}
	q.store(why)
}

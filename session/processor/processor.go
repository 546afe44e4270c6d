// HOT PATH

package processor

import (
	"context"
	"fmt"
	"hash/maphash"
	"sync"

	"github.com/roostpush/roost/session"
)

// Pusher makes attempts; cmd/roost makes one of Direct, Keeping and topics.
type Pusher interface {
	// Push makes one attempt, the first is 1. A record with a ttl it keeps for its devices;
	// Queued says that it is kept. done is called exactly once with what became of it, on any
	// goroutine, also before Push returns; the record is kept until then. Push must not
	// block: it is called on the goroutine that begins all attempts.
	Push(r *Record, attempt int, done func(Result))
}

// Processor takes records in and pushes them until they have a result. The flow of one:
//
//  1. Take: it goes into the lane of its priority, behind those with its key (lane.go).
//  2. Run begins it when it is its turn (schedule.go).
//  3. Its attempt ends (attempt.go): it is tried again later (wheel.go), or
//  4. it has its result: its source hears it, and the record behind it is let go.
//
// Any goroutine may call any method. It is a Sink.
type Processor struct {
	cfg      Config
	pusher   Pusher
	wallMS   func() int64
	steadyMS func() int64
	seeds    [2]maphash.Seed // of accounts, and of topics
	tasks    sync.Pool
	awake    chan struct{} // one token, for a Run that is asleep
	open     chan struct{} // closed, for lanes that have room

	mu       sync.Mutex
	asleep   bool // Run waits for a token
	closed   bool
	paused   [reasonCount]bool
	schedule schedule
	wheel    wheel
	ids      ids
	due      func(*task)
	count    counters
}

// New returns a processor of valid configuration. wallMS is the time in Unix
// milliseconds, by which a ttl is over; steadyMS one that nobody sets, for backoff and
// windows. Both are called on any goroutine.
func New(cfg Config, pusher Pusher, wallMS, steadyMS func() int64) *Processor {
	p := &Processor{
		cfg: cfg, pusher: pusher, wallMS: wallMS, steadyMS: steadyMS,
		seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
		awake: make(chan struct{}, 1), open: make(chan struct{}),
	}
	close(p.open)
	p.schedule.reset(cfg)
	p.ids.reset(cfg)
	p.due = p.schedule.enqueue
	p.tasks.New = func() any {
		t := new(task)
		t.heard = func(r Result) { p.attempted(t, r) }
		t.turned = func() { p.turned(t) }
		return t
	}
	return p
}

// Take takes a record in; see Sink. What can never succeed, because it is too large or
// has the ID of another record, has its result at once.
func (p *Processor) Take(r *Record, done func(Result)) bool {
	if n := len(r.Payload); n > p.cfg.PayloadBytesMax {
		return p.reject(r, done, &Reject{CodePayloadTooLarge, fmt.Sprintf("the payload is %d bytes long, at most %d are allowed", n, p.cfg.PayloadBytesMax)})
	}
	t := p.newTask(r.Priority)
	t.record, t.done = r, done
	t.party = p.partyOf(r.Account, r.Topic)
	p.date(t)
	if r.ID != "" {
		return p.takeKnown(t)
	}
	p.mu.Lock()
	ok := p.admitLocked(t)
	if ok {
		p.schedule.add(t)
	}
	wake := p.wakesLocked()
	p.mu.Unlock()
	if !ok {
		p.release(t)
	}
	p.wake(wake)
	return ok
}

// takeKnown is Take for a record with an ID: it is pushed only if there was none with
// that ID, waits for the result of one that is on its way, and has the result of one
// that has it.
func (p *Processor) takeKnown(t *task) bool {
	r, done := t.record, t.done
	hash, sum := p.ids.hash(r), p.ids.sum(r)
	p.mu.Lock()
	k := p.ids.all[hash]
	switch {
	case k == nil:
		ok := p.admitLocked(t)
		if ok {
			p.ids.claim(t, hash, sum)
			p.schedule.add(t)
		}
		wake := p.wakesLocked()
		p.mu.Unlock()
		if !ok {
			p.release(t)
		}
		p.wake(wake)
		return ok
	case k.sum != sum:
		p.mu.Unlock()
		p.release(t)
		return p.reject(r, done, &Reject{CodeIDReused, fmt.Sprintf("the id %q is that of an earlier record with another address, payload or ttl: an id names one message", r.ID)})
	case k.first != nil:
		ok := p.admitLocked(t)
		if ok {
			p.count.repeated++
			t.state = repeats
			t.next, k.first.repeat = k.first.repeat, t
		}
		p.mu.Unlock()
		if !ok {
			p.release(t)
		}
		return ok
	}
	result := k.result()
	p.count.repeated++
	p.mu.Unlock()
	p.release(t)
	done(result)
	return true
}

// reject answers a record that can never succeed.
func (p *Processor) reject(r *Record, done func(Result), why *Reject) bool {
	p.mu.Lock()
	p.count.rejected++
	p.mu.Unlock()
	done(Result{Reject: why})
	return true
}

// admitLocked finds room for a record in its lane.
func (p *Processor) admitLocked(t *task) bool {
	if p.closed || !t.lane.accept(t) {
		p.count.refused[t.lane.priority]++
		return false
	}
	p.count.taken[t.lane.priority]++
	return true
}

// date decides how long a record is tried. A producer whose clock is ahead cannot keep
// its records longer than their ttl.
func (p *Processor) date(t *task) {
	r := t.record
	if wall := p.wallMS(); r.SentMS <= 0 || r.SentMS > wall {
		r.SentMS = wall
	}
	t.endMS = p.steadyMS()
	if r.TTLMS > 0 {
		t.deadlineMS = r.SentMS + r.TTLMS
		t.endMS += p.cfg.HoldMax.Milliseconds()
	} else {
		t.endMS += p.cfg.RetryFor.Milliseconds()
	}
}

// partyOf returns the hash of whose turn it is: nobody's name is kept. Two with one hash
// share their turns.
func (p *Processor) partyOf(account, topic string) uint64 {
	if account != "" {
		return maphash.String(p.seeds[0], account)
	}
	return maphash.String(p.seeds[1], topic)
}

// Room returns a channel that is closed once the lane has room; see Sink.
func (p *Processor) Room(priority session.Priority) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := &p.schedule.lanes[priority]
	if !l.full && !p.closed {
		return p.open
	}
	if l.room == nil {
		l.room = make(chan struct{})
	}
	return l.room
}

// Tick lets those records be tried again whose backoff is over, and forgets old ids. Call
// it every 50 ms or so, from one goroutine.
func (p *Processor) Tick() {
	now := p.steadyMS()
	p.mu.Lock()
	if !p.closed {
		p.wheel.turn(now, p.due)
		p.ids.forget(now)
	}
	wake := p.wakesLocked()
	p.mu.Unlock()
	p.wake(wake)
}

// Run begins attempts and turns until the context ends; call it once, on a goroutine of
// its own. Then all records that wait are given up; those whose attempt is on its way have
// its result when it ends, unless they would have been tried again.
func (p *Processor) Run(ctx context.Context) {
	defer p.giveUp()
	for ctx.Err() == nil {
		if t := p.next(); t != nil {
			p.begin(t)
			continue
		}
		select {
		case <-p.awake:
		case <-ctx.Done():
		}
	}
}

// next takes the task that is to be begun; nil: none, and Run is to sleep.
func (p *Processor) next() (t *task) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.pausedLocked() {
		t = p.schedule.next()
	}
	p.asleep = t == nil
	return t
}

// wakesLocked reports whether Run is to be woken, by a call of wake without the mutex.
func (p *Processor) wakesLocked() bool {
	if !p.asleep || p.closed || p.pausedLocked() || !p.schedule.ready() {
		return false
	}
	p.asleep = false
	return true
}

// wake gives Run its token. There is one for each time that it fell asleep, so that the
// channel has room.
func (p *Processor) wake(yes bool) {
	if yes {
		p.awake <- struct{}{}
	}
}

func (p *Processor) newTask(priority session.Priority) *task {
	t := p.tasks.Get().(*task)
	t.lane = &p.schedule.lanes[priority]
	return t
}

// release takes back a task that is in no list and in no queue.
func (p *Processor) release(t *task) {
	*t = task{heard: t.heard, turned: t.turned}
	p.tasks.Put(t)
}

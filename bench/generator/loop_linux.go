package generator

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/roostpush/roost/bench/tally"
	"github.com/roostpush/roost/bench/target"
)

// HOT PATH

// event is what happened on a connection, as a phase sees it.
type event uint8

const (
	opened  event = iota // 101 was read
	failed               // the attempt ended without 101
	message              // a whole text or binary message
	ponged               // a pong
	closed               // a close frame; the end follows
	ended                // an open connection ended, not by us
)

// phase is what a loop does with its connections. Its methods are called on the loop.
type phase interface {
	// turn does what is due. It returns when it wants to be called again at the
	// latest, and whether it has ended.
	turn(l *loop) (wakeNS int64, done bool)
	// on hears of an event; payload is borrowed.
	on(l *loop, c *conn, e event, payload []byte)
	// early says why it ended before its time; empty: it did not.
	early() string
}

// finder is a phase that found out more than counters and times can say.
type finder interface{ found(end *PhaseEnd) }

// loop is one event loop. Everything in it belongs to its goroutine, but for orders
// and poll.wake.
type loop struct {
	plan     Plan
	id       int64 // number over all workers
	shares   int64 // loops over all workers
	target   *target.Target
	dial     dialer
	clock    Clock
	poll     *poller
	orders   chan Order
	news     chan<- News
	onOpened func(index, atNS int64) // nil: nobody asked

	slots      slots
	rare       map[int32]*rare
	connecting deadlines // attempts under way
	connected  int64     // connections open now
	owed       int64     // connections that were opened and not closed by us: the prove phase must find them
	buffer     []byte    // read buffer
	scratch    []byte    // for what is being sent
	ack        []byte    // for the ack being sent
	masks      uint64    // state of the mask generator

	bridge      *bridge              // nil: ws://
	bridged     map[int32]*bridged   // far sides of wss:// connections, by slot
	streams     map[int32]*apiStream // by slot
	streamsMade int32
	tags        uint8 // phases that stamped their messages; the same in every loop

	stamps    stamps
	arrivedNS int64 // when the kernel got the bytes being read, 0: not known

	nowNS    int64       // time of this turn
	since    tally.Tally // counted since the last tick
	phase    phase       // nil: between phases
	spec     Phase
	begunNS  int64
	begunCPU time.Duration
	stopping bool
	finished bool
	beatNS   int64
	tickNS   int64
}

// pacedEvents is how many events are handled before a phase that paces its starts looks
// at what is due. Some 100 µs of work: whatever waits longer leaves as a burst, and what
// queues behind it in the server would be called the server's latency. In a storm each
// event is a handshake.
const pacedEvents = 8

// run turns until it is ordered to finish.
func (l *loop) run() error {
	runtime.LockOSThread() // its CPU time is measured by thread
	defer runtime.UnlockOSThread()
	// The default slack of 50 µs would make every paced start that late.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1000, 0, 0, 0)
	l.nowNS = l.clock.Now()
	l.tickNS = l.nowNS + int64(l.plan.Config.TickInterval)
	for {
		l.obey()
		if l.finished {
			return nil
		}
		wakeNS := min(l.turn(), l.housekeeping())
		events, err := l.poll.wait(time.Duration(wakeNS - l.clock.Now()))
		if err != nil {
			return err
		}
		for i := range events {
			if i%pacedEvents == pacedEvents-1 && l.paces() {
				l.nowNS = l.clock.Now()
				l.turn()
			}
			switch {
			case events[i].Fd >= 0:
				l.handle(&events[i])
			case events[i].Fd != wakeSlot:
				l.streamEvent(&events[i])
			}
		}
		l.nowNS = l.clock.Now()
	}
}

// paces says that starts are due while events are handled. Behind a bridge, where each
// send wakes a goroutine, they may wait for their turn.
func (l *loop) paces() bool {
	return l.spec.Kind == Mix || l.spec.PerSecond > 0 && l.bridge == nil
}

// obey takes the orders that have come.
func (l *loop) obey() {
	for {
		select {
		case o := <-l.orders:
			switch {
			case o.Begin != nil:
				l.begin(*o.Begin, o.AtNS)
			case o.Stop:
				l.stopping = true
			case o.Finish:
				l.finish()
			}
		default:
			return
		}
	}
}

func (l *loop) begin(spec Phase, atNS int64) {
	l.spec, l.stopping, l.stamps.on = spec, false, false
	l.begunNS, l.begunCPU = atNS, l.cpu()
	l.beatNS = max(atNS, l.nowNS) + int64(l.plan.Config.BeatInterval)
	l.phase = newPhase(l, l.spec, atNS)
}

// turn lets the phase work and returns when it wants to be called again.
func (l *loop) turn() int64 {
	if l.phase == nil {
		return l.tickNS
	}
	if l.nowNS < l.begunNS { // every loop begins at the phase's time 0
		return l.begunNS
	}
	wakeNS, done := l.phase.turn(l)
	if !done {
		return wakeNS
	}
	end := PhaseEnd{Loop: l.id, Early: l.phase.early(), Open: l.connected, EndNS: l.clock.Now()}
	if p, ok := l.phase.(finder); ok {
		p.found(&end)
	}
	end.Wall = time.Duration(end.EndNS - l.begunNS)
	end.CPU = l.cpu() - l.begunCPU
	l.phase = nil
	l.tick()
	l.news <- News{PhaseEnd: &end}
	return l.nowNS
}

// housekeeping ends attempts that take too long, beats, and ticks.
func (l *loop) housekeeping() int64 {
	for {
		r, due := l.connecting.pop(l.nowNS)
		if !due {
			break
		}
		c := l.slots.get(r.slot)
		if c.generation != r.generation {
			continue
		}
		switch c.state {
		case stateConnecting:
			l.fail(c, "connect timeout")
		case stateUpgrading:
			l.fail(c, "handshake timeout")
		}
	}
	l.beat()
	if l.nowNS >= l.tickNS {
		if len(l.news) < cap(l.news) {
			l.tick()
		} else { // the parent is busy: the next tick will hold both
			l.tickNS = l.nowNS + int64(l.plan.Config.TickInterval)
		}
	}
	wakeNS := l.tickNS
	if l.phase != nil && l.spec.Measured {
		wakeNS = min(wakeNS, l.beatNS)
	}
	if first, ok := l.connecting.first(); ok {
		wakeNS = min(wakeNS, first)
	}
	return wakeNS
}

// beat checks that the loop comes round in time, which it does not when it gets no
// CPU. Beats that were slept over are counted one by one, as they would have come.
func (l *loop) beat() {
	if l.phase == nil || !l.spec.Measured {
		return
	}
	if l.stamps.on && l.nowNS >= l.beatNS {
		l.syncStamps()
	}
	for l.nowNS >= l.beatNS {
		l.since.Add(tally.Beats, 1)
		if l.nowNS-l.beatNS > int64(l.plan.Config.LateBound) {
			l.since.Add(tally.LateBeats, 1)
		}
		l.beatNS += int64(l.plan.Config.BeatInterval)
	}
}

// tick hands over what was counted since the last one.
func (l *loop) tick() {
	l.tickNS = l.nowNS + int64(l.plan.Config.TickInterval)
	since := l.since
	l.since = tally.Tally{}
	l.news <- News{Tick: &Tick{Loop: l.id, AtNS: l.nowNS, Open: l.connected, Since: tally.Delta{Tally: &since}}}
}

func (l *loop) finish() {
	if !l.plan.Config.LeaveOpen {
		l.slots.each(func(c *conn) { l.drop(c) })
	}
	for _, s := range l.streams {
		_ = unix.Close(s.fd)
	}
	if l.bridge != nil {
		l.bridge.close()
	}
	l.tick()
	l.finished = true
}

// begunAt notes how late a paced start is.
func (l *loop) begunAt(intendedNS, nowNS int64) {
	late := nowNS - intendedNS
	l.since.Add(tally.Paced, 1)
	l.since.Record(tally.Lateness, late)
	if late > int64(l.plan.Config.LateBound) {
		l.since.Add(tally.Late, 1)
	}
}

// cpu returns the loop's CPU time. Behind a bridge most of the work is done by other
// threads: then it is this loop's share of the whole process, for each core it may use.
func (l *loop) cpu() time.Duration {
	if l.bridge == nil {
		return cpuOf(unix.RUSAGE_THREAD)
	}
	return cpuOf(unix.RUSAGE_SELF) / time.Duration(min(runtime.GOMAXPROCS(0), runtime.NumCPU()))
}

func cpuOf(whose int) time.Duration {
	var usage unix.Rusage
	if unix.Getrusage(whose, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

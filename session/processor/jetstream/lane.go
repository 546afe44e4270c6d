package jetstream

import (
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/processor"
)

// lane is the consumer of one priority, and what this node has of its messages. One
// goroutine fetches, one hands over; results come on any.
type lane struct {
	source   *Source
	priority session.Priority
	subjects []string
	consumer jetstream.Consumer
	held     chan *flight  // has room for in_work_max, so that adding never waits
	less     chan struct{} // holds one: something has left the lane

	mu     sync.Mutex
	inWork map[uint64]*flight // by the sequence in the stream, from fetch to settlement
	bytes  int                // of those
	idle   chan struct{}      // made by who waits for inWork to be empty; closed then
	lag    uint64             // messages that wait in the stream
}

func (l *lane) init(s *Source, c laneSubjects) {
	l.source, l.priority, l.subjects = s, c.priority, c.subjects
	l.held = make(chan *flight, s.cfg.InWorkMax)
	l.less = make(chan struct{}, 1)
	l.inWork = map[uint64]*flight{}
}

// fetch takes messages from the server as long as there is room for them, here and in
// the sink, until the source stops.
func (l *lane) fetch() {
	s := l.source
	defer close(l.held)
	for {
		n, bytes := l.size()
		n = min(s.cfg.FetchMax, s.cfg.InWorkMax-n)
		if n <= 0 || bytes >= s.cfg.InWorkBytesMax {
			select {
			case <-s.over:
				return
			case <-l.less:
				continue
			}
		}
		select {
		case <-s.over:
			return
		case <-s.sink.Room(l.priority):
		}
		if err := l.batch(n); err != nil && !s.stopped() {
			s.count.fetchErrors.Add(1)
			s.log.Complain("fetch", "jetstream: a fetch failed; it is tried again", "consumer", l.priority, "err", err)
			pause := time.NewTimer(errorPause)
			select {
			case <-s.over:
			case <-pause.C:
			}
			pause.Stop()
		}
	}
}

// overheadBytes is what the server may count of a message beside its payload: subjects.
const overheadBytes = 4 << 10

// batch makes one fetch. When the source stops meanwhile, what still comes is given back.
func (l *lane) batch(n int) error {
	s := l.source
	messages, err := l.consumer.Fetch(n, jetstream.FetchMaxWait(s.cfg.FetchWait),
		jetstream.FetchMaxBytes(max(s.cfg.FetchBytesMax, int(s.conn.MaxPayload())+overheadBytes)))
	if err != nil {
		return err
	}
	for m := range messages.Messages() {
		if s.stopped() {
			s.told(m.Nak())
			continue
		}
		if f := l.admit(m); f != nil {
			l.held <- f
		}
	}
	if err := messages.Error(); err != nil && !errors.Is(err, nats.ErrTimeout) {
		return err
	}
	return nil
}

// admit enters a message. One that is here already has come again, because the server
// had not heard of it: the newer delivery is the one to be acknowledged.
func (l *lane) admit(m jetstream.Msg) *flight {
	s := l.source
	meta, err := m.Metadata()
	if err != nil { // it is none of JetStream's, so nobody waits for its acknowledgement
		s.count.fetchErrors.Add(1)
		return nil
	}
	s.count.fetched[l.priority].Add(1)
	if meta.NumDelivered > 1 {
		s.count.redelivered.Add(1)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lag = meta.NumPending
	if f := l.inWork[meta.Sequence.Stream]; f != nil {
		f.message = m
		s.count.overlapped.Add(1)
		return nil
	}
	f := newFlight(l, m, meta)
	l.inWork[f.sequence] = f
	l.bytes += f.bytes
	return f
}

// feed hands the lane's messages to the sink, in order. When the source stops, it gives
// back what it still holds.
func (l *lane) feed() {
	s := l.source
	for f := range l.held {
		if s.stopped() {
			f.back(0)
			continue
		}
		l.hand(f)
	}
}

// hand gives a message to the sink as soon as that has room. If it has none for a while,
// this one and all others that are held are given back.
func (l *lane) hand(f *flight) {
	s := l.source
	f.read()
	if f.rejected != nil {
		f.land(processor.Result{Reject: f.rejected})
		return
	}
	priority := f.record.Priority
	var patience *time.Timer
	for !s.sink.Take(&f.record, f.land) {
		if patience == nil {
			patience = time.NewTimer(s.cfg.RoomTimeout)
			defer patience.Stop()
		}
		select {
		case <-s.over:
			f.back(0)
			return
		case <-s.sink.Room(priority):
		case <-patience.C:
			l.giveBack(f)
			return
		}
	}
	s.count.taken[priority].Add(1)
}

// giveBack gives everything back that the sink has had no room for, to come again in a
// while, here or on another node.
func (l *lane) giveBack(f *flight) {
	s := l.source
	n := uint64(1)
	f.back(s.cfg.NakDelay)
	for {
		select {
		case f, ok := <-l.held:
			if ok {
				f.back(s.cfg.NakDelay)
				n++
				continue
			}
		default:
		}
		break
	}
	s.count.roomless[l.priority].Add(n)
	s.log.Complain("room "+l.priority.String(), "jetstream: the processor has no room; messages are given back for other nodes", "priority", l.priority, "messages", n)
}

// left notes that a message is settled.
func (l *lane) left(f *flight) {
	l.mu.Lock()
	delete(l.inWork, f.sequence)
	l.bytes -= f.bytes
	if len(l.inWork) == 0 && l.idle != nil {
		close(l.idle)
		l.idle = nil
	}
	l.mu.Unlock()
	select {
	case l.less <- struct{}{}:
	default: // the fetch is awake already
	}
}

// size returns how many messages this node has of the lane, and their bytes.
func (l *lane) size() (n, bytes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.inWork), l.bytes
}

// empty returns a channel that is closed once nothing is in work.
func (l *lane) empty() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.inWork) == 0 {
		done := make(chan struct{})
		close(done)
		return done
	}
	if l.idle == nil {
		l.idle = make(chan struct{})
	}
	return l.idle
}

func (s *Source) stopped() bool {
	select {
	case <-s.over:
		return true
	default:
		return false
	}
}

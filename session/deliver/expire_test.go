package deliver

import (
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
)

// during is a fake reactor that does something while it is asked to send.
type during struct {
	sockets
	what func()
}

func (s *during) Send(id netpoll.ConnID, op netpoll.Op, payload []byte, rcpt netpoll.Receipt, tag uint64) {
	if s.what != nil {
		s.what()
	}
	s.sockets.Send(id, op, payload, rcpt, tag)
}

// TestExpireWhileSending has the deadline pass while a loop is sending again from
// the delivery's buffers: it must not settle, or somebody could Reset them.
func TestExpireWhileSending(t *testing.T) {
	n := newNode(nil)
	s := &during{}
	n.Router.sockets = s
	n.open("alice", "phone", 0)
	_, d := n.deliver(to("alice", "phone", session.WaitWritten))
	n.open("alice", "phone", 0)
	expired := make(chan struct{})
	s.what = func() {
		go func() {
			d.Expire()
			close(expired)
		}()
		for d.Counts()[session.Timeout] == 0 {
			runtime.Gosched()
		}
		if isDone(d) {
			t.Error("it is settled while it is being sent")
		}
	}
	s.sent[0].rcpt.Sent(s.sent[0].tag, netpoll.ResultGone)
	<-expired
	expect(t, d, "phone:timeout ")
}

// TestExpireWaitsForCall has the deadline pass while the call is under way: whoever
// expires a delivery may use it again at once, and a call that comes late would be
// taken for the next use's.
func TestExpireWaitsForCall(t *testing.T) {
	n := newNode(nil)
	n.open("alice", "phone", 0)
	calling, finished := make(chan struct{}), atomic.Bool{}
	d := new(Delivery)
	d.Reset(session.WaitWritten, func(*Delivery) {
		close(calling)
		for range 1000 {
			runtime.Gosched()
		}
		finished.Store(true)
	})
	n.Deliver(to("alice", "phone", session.WaitWritten), d)
	go n.sockets.settle(netpoll.ResultWritten)
	<-calling
	d.Expire()
	if !finished.Load() {
		t.Error("Expire has returned before the call")
	}
	if d.Counts()[session.Written] != 1 {
		t.Errorf("counts %v", d.Counts())
	}
}

// TestTimedBeforeItBegins has the clock reach a delivery's time between the moment at which
// it is entered and that at which it begins: it must expire at the next look.
func TestTimedBeforeItBegins(t *testing.T) {
	n := newNode(nil)
	n.open("alice", "phone", 0)
	d := new(Delivery)
	d.Reset(session.WaitAcked, nil)
	n.timed.enter(d, 1)
	n.Tick(1)
	n.Deliver(to("alice", "phone", session.WaitAcked), d)
	n.sockets.settle(netpoll.ResultWritten)
	n.Tick(2)
	expect(t, d, "phone:timeout ")
}

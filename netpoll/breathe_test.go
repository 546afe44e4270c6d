package netpoll

import (
	"io"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/gobwas/ws/wsutil"
)

// stopper holds its loop in a message until it is told to go on.
type stopper struct {
	collector
	held, goOn chan struct{}
	ends       atomic.Int64
}

func (h *stopper) Message(c *Conn, op Op, payload []byte) {
	close(h.held)
	<-h.goOn
}

func (h *stopper) Closed(*Conn, uint16) { h.ends.Add(1) }

// sentAt notes how many connections had ended when a message left.
type sentAt struct {
	ends *atomic.Int64
	at   chan int64
}

func (s sentAt) Sent(uint64, Result) { s.at <- s.ends.Load() }

// A hundred ends that one look at the poller brings do not hold up a message that
// came behind them.
func TestMessagesDoNotWaitForATurnsEnd(t *testing.T) {
	const ending = 100
	cfg := Default()
	cfg.Loops = 1
	h := &stopper{collector: *newCollector(), held: make(chan struct{}), goOn: make(chan struct{})}
	r, addr := serve(t, cfg, h)
	staying := dial(t, addr)
	id := <-h.opened
	var others []net.Conn
	for range ending {
		others = append(others, dial(t, addr))
		<-h.opened
	}
	if err := wsutil.WriteClientText(staying, []byte("wait")); err != nil {
		t.Fatal(err)
	}
	<-h.held
	for _, c := range others {
		c.Close()
	}
	sent := sentAt{ends: &h.ends, at: make(chan int64, 1)}
	r.Send(id, OpText, []byte("in time"), sent, 0)
	close(h.goOn)
	if n := <-sent.at; n > ending/2 {
		t.Errorf("the message left after %d of %d ends", n, ending)
	}
	if text, err := wsutil.ReadServerText(staying); err != nil || string(text) != "in time" {
		t.Errorf("%q, %v", text, err)
	}
}

// A loop that is told to stop in the middle of a long turn does not wait for its end.
func TestStopWithinATurn(t *testing.T) {
	d := detached(t, Default(), Echo{})
	l := d.loop
	var err error
	if l.bell, err = newBell(); err != nil {
		t.Fatal(err)
	}
	if l.yield, err = newYielder(); err != nil {
		t.Fatal(err)
	}
	defer l.yield.close()
	l.event(int(d.conn.fd), false, false)
	if l.stopping {
		t.Error("an event ends the loop")
	}
	if !l.do(func() { l.stopping = true }) {
		t.Fatal("the loop takes no task")
	}
	l.work = breathWork
	if l.event(int(d.conn.fd), false, false); !l.stopping {
		t.Error("the loop goes on")
	}
}

// While one goroutine keeps the only processor, another that waits for a socket gets its
// turn within two yields, not when the monitor thread has looked.
func TestYieldFindsWhatTheNetworkBrought(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	y, err := newYielder()
	if err != nil {
		t.Fatal(err)
	}
	defer y.close()
	from, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	defer from.Close()
	read := make(chan struct{}, 1)
	var got atomic.Int64
	go func() {
		var b [1]byte
		for {
			if _, err := io.ReadFull(from, b[:]); err != nil {
				close(read)
				return
			}
			got.Add(1)
		}
	}()
	for y.now(); got.Load() == 0; y.now() { // until the reader waits
		if _, err := to.Write([]byte{0}); err != nil {
			t.Fatal(err)
		}
	}
	inTime := 0
	const rounds = 50
	for range rounds {
		before := got.Load()
		if _, err := to.Write([]byte{0}); err != nil {
			t.Fatal(err)
		}
		y.now()
		y.now()
		if got.Load() > before {
			inTime++
		}
	}
	// The monitor thread may take the reader away from under a yield, now and then.
	if inTime < rounds*8/10 {
		t.Errorf("%d of %d bytes were read within two yields", inTime, rounds)
	}
	to.Close()
	<-read
}

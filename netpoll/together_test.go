package netpoll

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// hold keeps the first loop of the reactor busy until release is called, so that what comes
// meanwhile is there together.
func hold(r *Reactor) (release func()) {
	held, free := make(chan struct{}), make(chan struct{})
	r.loops[0].do(func() { close(held); <-free })
	<-held
	return func() { close(free) }
}

// crowdOf opens n connections to one loop.
func crowdOf(t *testing.T, together bool, n int, h *collector) (r *Reactor, conns []net.Conn, ids []ConnID) {
	t.Helper()
	cfg := Default()
	cfg.Loops, cfg.IOURing, cfg.PingInterval = 1, together, time.Hour
	r, addr := serve(t, cfg, h)
	for range n {
		conns = append(conns, dial(t, addr))
		ids = append(ids, <-h.opened)
	}
	if together && r.loops[0].together == nil {
		t.Skip("calls are not made together here")
	}
	return r, conns, ids
}

// rest is all that comes of a connection until its end, or until nothing comes for a while.
func rest(conn net.Conn) []byte {
	_ = conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	got, _ := io.ReadAll(conn)
	return got
}

// TestReadTogether has connections say all kinds of things at once: each is answered as if it
// had been alone, whether the kernel is given the calls together or not.
func TestReadTogether(t *testing.T) {
	frame := func(op ws.OpCode, payload string) []byte {
		return ws.MustCompileFrame(ws.MaskFrame(ws.NewFrame(op, true, []byte(payload))))
	}
	says := []struct {
		name string
		say  func(net.Conn)
	}{
		{"a message", func(c net.Conn) { c.Write(frame(ws.OpText, "hello")) }},
		{"three", func(c net.Conn) {
			c.Write(slices.Concat(frame(ws.OpText, "1"), frame(ws.OpBinary, "2"), frame(ws.OpText, "3")))
		}},
		{"a ping", func(c net.Conn) { c.Write(frame(ws.OpPing, "p")) }},
		{"half a message", func(c net.Conn) { c.Write(frame(ws.OpText, "half of it")[:9]) }},
		{"more than one read takes", func(c net.Conn) { c.Write(frame(ws.OpBinary, string(bytes.Repeat([]byte("y"), 100_000)))) }},
		{"a close", func(c net.Conn) { c.Write(frame(ws.OpClose, "\x03\xe8")) }},
		{"a frame that is not masked", func(c net.Conn) { c.Write([]byte("\x81\x02hi")) }},
		{"a message and the end", func(c net.Conn) {
			c.Write(frame(ws.OpText, "last"))
			c.(interface{ CloseWrite() error }).CloseWrite()
		}},
		{"nothing", func(net.Conn) {}},
		{"a reset", func(c net.Conn) {
			c.(*net.TCPConn).SetLinger(0)
			c.Close()
		}},
	}
	const each = 5
	var want [][]byte
	for _, together := range []bool{false, true} {
		t.Run(fmt.Sprintf("together %v", together), func(t *testing.T) {
			r, conns, _ := crowdOf(t, together, each*len(says), newCollector())
			release := hold(r)
			for i, c := range conns {
				says[i%len(says)].say(c)
			}
			time.Sleep(50 * time.Millisecond) // what was written is with the kernel of the other end
			release()
			got := make([][]byte, len(conns))
			var wg sync.WaitGroup
			for i, c := range conns {
				wg.Go(func() { got[i] = rest(c) })
			}
			wg.Wait()
			if n := r.Stats().Together; (n > each*5) != together {
				t.Errorf("%d calls were made together", n)
			}
			if !together {
				want = got
				return
			}
			for i := range got {
				if !bytes.Equal(got[i], want[i]) {
					t.Errorf("%s: %d bytes %.60q, want %d bytes %.60q", says[i%len(says)].name, len(got[i]), got[i], len(want[i]), want[i])
				}
			}
		})
	}
}

// TestFlushTogether sends to many at once, of whom some have gone and some read nothing.
func TestFlushTogether(t *testing.T) {
	const n = 60
	small, big := []byte("hello"), bytes.Repeat([]byte("z"), 1<<20)
	for _, together := range []bool{false, true} {
		t.Run(fmt.Sprintf("together %v", together), func(t *testing.T) {
			h := newCollector()
			r, conns, ids := crowdOf(t, together, n, h)
			release := hold(r)
			rcpt := newReceipts(n + n/10)
			for i, id := range ids {
				switch i % 10 {
				case 3: // more than the kernel takes
					r.Send(id, OpText, big, rcpt, 0)
				case 5: // two in one batch
					r.Send(id, OpText, small, rcpt, 0)
					r.Send(id, OpText, small, rcpt, 0)
				case 7: // reset before its turn
					conns[i].(*net.TCPConn).SetLinger(0)
					conns[i].Close()
					fallthrough
				default:
					r.Send(id, OpText, small, rcpt, 0)
				}
			}
			time.Sleep(50 * time.Millisecond) // the resets are there
			release()
			for i, c := range conns {
				want := [][]byte{small}
				switch i % 10 {
				case 3:
					want = [][]byte{big}
				case 5:
					want = [][]byte{small, small}
				case 7:
					continue
				}
				for _, want := range want {
					if got, _, err := wsutil.ReadServerData(c); err != nil || !bytes.Equal(got, want) {
						t.Fatalf("connection %d got %d bytes, %v; want %d", i, len(got), err, len(want))
					}
				}
			}
			select {
			case <-rcpt.done:
			case <-time.After(10 * time.Second):
				t.Fatal("a receipt is missing")
			}
			written, gone := rcpt.count[ResultWritten].Load(), rcpt.count[ResultGone].Load()
			if written != n || gone != n/10 {
				t.Errorf("%d written and %d gone, want %d and %d", written, gone, n, n/10)
			}
			for range n / 10 {
				<-h.closed
			}
			if n := r.Stats().Together; (n > 30) != together {
				t.Errorf("%d calls were made together", n)
			}
		})
	}
}

// TestTogetherNoMore takes the kernel's calls away under a loop: it goes on with single ones.
func TestTogetherNoMore(t *testing.T) {
	r, conns, _ := crowdOf(t, true, 20, newCollector())
	r.loops[0].do(func() { r.loops[0].together.uring.failed = true })
	for range 2 {
		release := hold(r)
		for _, c := range conns {
			if err := wsutil.WriteClientText(c, []byte("hello")); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(20 * time.Millisecond)
		release()
		for _, c := range conns {
			if got, _, err := wsutil.ReadServerData(c); err != nil || string(got) != "hello" {
				t.Fatalf("%q, %v", got, err)
			}
		}
	}
	before := r.Stats().Together
	release := hold(r)
	for _, c := range conns {
		_ = wsutil.WriteClientText(c, []byte("hello"))
	}
	release()
	for _, c := range conns {
		_, _, _ = wsutil.ReadServerData(c)
	}
	if after := r.Stats().Together; after != before {
		t.Errorf("%d calls were made together since", after-before)
	}
}

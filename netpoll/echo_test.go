package netpoll

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).purgeStaleWorkers"), goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).ticktock"))
}

// serve runs a reactor on a port of the kernel's choice until the test ends.
func serve(t testing.TB, cfg Config, h Handler) (*Reactor, string) {
	t.Helper()
	r, err := New(cfg, h, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- r.Serve() }()
	t.Cleanup(func() {
		r.Stop()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return r, r.Addr().String()
}

func dial(t testing.TB, addr string) net.Conn {
	t.Helper()
	conn, buffered, _, err := ws.Dialer{Timeout: time.Minute}.Dial(context.Background(), "ws://"+addr+"/ws")
	if err != nil {
		t.Fatal(err)
	}
	if buffered != nil {
		conn = &prefixed{Conn: conn, r: buffered}
	}
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	t.Cleanup(func() { conn.Close() })
	return conn
}

// prefixed is a connection whose first bytes were read along with the 101.
type prefixed struct {
	net.Conn
	r interface{ Read([]byte) (int, error) }
}

func (p *prefixed) Read(b []byte) (int, error) { return p.r.Read(b) }

func TestEchoOverSockets(t *testing.T) {
	_, addr := serve(t, Default(), Echo{})
	conn := dial(t, addr)
	for _, size := range []int{0, 1, 125, 126, 4000, 65535, 64 << 10, 128 << 10} {
		sent := bytes.Repeat([]byte("x"), size)
		if err := wsutil.WriteClientText(conn, sent); err != nil {
			t.Fatal(err)
		}
		got, op, err := wsutil.ReadServerData(conn)
		if err != nil || op != ws.OpText || !bytes.Equal(got, sent) {
			t.Fatalf("echo of %d bytes: %d bytes, op %v, %v", size, len(got), op, err)
		}
	}
	if err := wsutil.WriteClientText(conn, make([]byte, 128<<10+1)); err != nil {
		t.Fatal(err)
	}
	_, _, err := wsutil.ReadServerData(conn)
	var closed wsutil.ClosedError
	if !errors.As(err, &closed) || closed.Code != CloseTooBig {
		t.Fatalf("a message above the limit: %v, want close 1009", err)
	}
}

// collector is a Handler that names the connections it gets.
type collector struct {
	Echo
	opened chan ConnID
	closed chan uint16
}

func (h *collector) Open(c *Conn) { h.opened <- c.ID() }

func (h *collector) Closed(_ *Conn, code uint16) { h.closed <- code }

func newCollector() *collector {
	return &collector{opened: make(chan ConnID, 100), closed: make(chan uint16, 100)}
}

// receipts counts results; done closes at the last of n.
type receipts struct {
	left  atomic.Int64
	count [4]atomic.Int64
	done  chan struct{}
}

func newReceipts(n int) *receipts {
	r := &receipts{done: make(chan struct{})}
	r.left.Store(int64(n))
	return r
}

func (r *receipts) Sent(_ uint64, result Result) {
	r.count[result].Add(1)
	if r.left.Add(-1) == 0 {
		close(r.done)
	}
}

func (r *receipts) wait(t *testing.T) {
	t.Helper()
	select {
	case <-r.done:
	case <-time.After(time.Minute):
		t.Fatalf("%d receipts are missing", r.left.Load())
	}
}

func TestSendReceipts(t *testing.T) {
	h := newCollector()
	r, addr := serve(t, Default(), h)
	conn := dial(t, addr)
	id := <-h.opened
	const n = 3000
	rc := newReceipts(n)
	go func() {
		for range n {
			r.Send(id, OpText, []byte("hello"), rc, 0)
		}
	}()
	for range n {
		got, _, err := wsutil.ReadServerData(conn)
		if err != nil || string(got) != "hello" {
			t.Fatalf("%q %v", got, err)
		}
	}
	rc.wait(t)
	if got := rc.count[ResultWritten].Load(); got != n {
		t.Fatalf("written %d of %d", got, n)
	}
	conn.Close()
	if code := <-h.closed; code != CloseAbnormal {
		t.Fatalf("closed with %d", code)
	}
	gone := newReceipts(2)
	r.Send(id, OpText, []byte("late"), gone, 0)
	r.Send(0, OpText, []byte("nobody"), gone, 0)
	gone.wait(t)
	if gone.count[ResultGone].Load() != 2 {
		t.Fatal("a send to a connection that is gone must say so")
	}
}

func TestSendManyReachesEveryLoop(t *testing.T) {
	cfg := Default()
	cfg.Loops = 3
	h := newCollector()
	r, addr := serve(t, cfg, h)
	var ids []ConnID
	var conns []net.Conn
	for range 40 {
		conns = append(conns, dial(t, addr))
		ids = append(ids, <-h.opened)
	}
	ids = append(ids, 0)
	rc := newReceipts(len(ids))
	r.SendMany(ids, OpBinary, []byte("all"), rc, 0)
	for _, c := range conns {
		got, op, err := wsutil.ReadServerData(c)
		if err != nil || op != ws.OpBinary || string(got) != "all" {
			t.Fatalf("%q %v %v", got, op, err)
		}
	}
	rc.wait(t)
	if rc.count[ResultWritten].Load() != 40 || rc.count[ResultGone].Load() != 1 {
		t.Fatalf("written %d, gone %d", rc.count[ResultWritten].Load(), rc.count[ResultGone].Load())
	}
}

func TestSlowPeerIsClosedWith4004(t *testing.T) {
	cfg := Default()
	cfg.QueuedSoftBytes, cfg.QueuedHardBytes = 64<<10, 512<<10
	cfg.CloseTimeout = time.Minute // this test is slow to read too, on a busy machine
	h := newCollector()
	r, addr := serve(t, cfg, h)
	conn := dial(t, addr)
	id := <-h.opened
	const n = 4000
	rc := newReceipts(n)
	for range n {
		r.Send(id, OpBinary, make([]byte, 4<<10), rc, 0)
	}
	if code := waitClose(t, conn); code != CloseSlow {
		t.Fatalf("closed with %d, want 4004", code)
	}
	conn.Close()
	rc.wait(t)
	if rc.count[ResultFull].Load() == 0 || rc.count[ResultWritten].Load() == 0 {
		t.Fatalf("written %d full %d gone %d cut %d", rc.count[0].Load(), rc.count[3].Load(), rc.count[2].Load(), rc.count[1].Load())
	}
	if got := <-h.closed; got != CloseSlow {
		t.Fatalf("handler heard %d", got)
	}
	if s := r.Stats(); s.TooSlow != 1 || s.QueuedBytes != 0 || s.SlowNow != 0 {
		t.Fatalf("too slow %d, queued %d, slow now %d", s.TooSlow, s.QueuedBytes, s.SlowNow)
	}
}

// waitClose reads until the Close frame and returns its code.
func waitClose(t *testing.T, conn net.Conn) uint16 {
	t.Helper()
	for {
		_, _, err := wsutil.ReadServerData(conn)
		var closed wsutil.ClosedError
		if errors.As(err, &closed) {
			return uint16(closed.Code)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestCloseFromOutside(t *testing.T) {
	h := newCollector()
	r, addr := serve(t, Default(), h)
	conn := dial(t, addr)
	id := <-h.opened
	r.Send(id, OpText, []byte("last words"), nil, 0)
	r.Close(id, 4001, `{"reconnect_ms":5}`)
	r.Send(id, OpText, []byte("too late"), nil, 0)
	got, _, err := wsutil.ReadServerData(conn)
	if err != nil || string(got) != "last words" {
		t.Fatalf("%q %v", got, err)
	}
	_, _, err = wsutil.ReadServerData(conn)
	var closed wsutil.ClosedError
	if !errors.As(err, &closed) || closed.Code != 4001 || !strings.Contains(closed.Reason, "reconnect_ms") {
		t.Fatalf("%v", err)
	}
	if got := <-h.closed; got != 4001 {
		t.Fatalf("handler heard %d", got)
	}
}

func TestSecondServerOnThePortIsRefused(t *testing.T) {
	_, addr := serve(t, Default(), Echo{})
	second, err := New(Default(), Echo{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = second.Listen(addr)
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatalf("second listener on %s: %v", addr, err)
	}
	done := make(chan error)
	go func() { done <- second.Serve() }()
	second.Stop()
	<-done
}

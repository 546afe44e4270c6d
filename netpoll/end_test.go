package netpoll

import (
	"bytes"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// TestStatsWhileALoopEnds asks a loop for its counters in its very last turn.
func TestStatsWhileALoopEnds(t *testing.T) {
	cfg := Default()
	cfg.Loops = 1
	r, err := New(cfg, Echo{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- r.Serve() }()
	got := make(chan struct{})
	l := r.loops[0]
	l.do(func() {
		l.stopping = true
		go func() { r.Stats(); close(got) }()
		for asked := false; !asked; time.Sleep(time.Millisecond) {
			l.exchange.mu.Lock()
			asked = len(l.exchange.filling.tasks) > 0
			l.exchange.mu.Unlock()
		}
	})
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	select {
	case <-got:
	case <-time.After(time.Minute):
		t.Fatal("Stats waits for a loop that has ended")
	}
	// Nothing reaches a loop that has ended, and nothing is kept for it.
	rc := newReceipts(2)
	id := makeConnID(1, 0, 9)
	r.Send(id, OpText, []byte("x"), rc, 0)
	r.SendMany([]ConnID{id}, OpText, []byte("x"), rc, 1)
	r.Close(id, 1000, "x")
	r.Do(id, func(*Conn) { t.Error("a task ran after the end") })
	rc.wait(t)
	if rc.count[ResultGone].Load() != 2 || len(l.exchange.filling.sends) != 0 {
		t.Fatalf("gone %d, kept %d", rc.count[ResultGone].Load(), len(l.exchange.filling.sends))
	}
}

// lockedLog is a log that is read while it is written.
type lockedLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}
func (l *lockedLog) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }

// TestPausesAreCountedInPairs lets accepting pause over and over at the cap: when there is
// room again it must be said once.
func TestPausesAreCountedInPairs(t *testing.T) {
	log := &lockedLog{}
	cfg := Default()
	cfg.Loops, cfg.MaxConnections, cfg.RefusalsMax = 1, 2, 1
	r, err := New(cfg, Echo{}, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- r.Serve() }()
	defer func() { r.Stop(); <-served }()
	var silent []net.Conn
	for range 12 {
		c, err := net.Dial("tcp", r.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		silent = append(silent, c)
	}
	pauses := func(n uint64) func() bool { return func() bool { return r.Stats().AcceptPauses >= n } }
	waitFor(t, "a pause", pauses(1))
	for i, c := range silent[:4] {
		c.Close() // room for one, whose place another takes: the pause begins anew
		waitFor(t, "another pause", pauses(uint64(i)+1))
	}
	for _, c := range silent {
		c.Close()
	}
	waitFor(t, "the resumption", func() bool { return r.Stats().Paused == 0 && strings.Contains(log.String(), "accepting resumes") })
	if n := r.pausedLoops.Load(); n != 0 {
		t.Fatalf("%d loops are counted as paused", n)
	}
	echoText(t, dial(t, r.Addr().String()))
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited a minute for %s", what)
		}
	}
}

// TestNodeBudget fills a node's budget for slow peers in both ways: by answers that they
// are owed and by messages that are sent to them.
func TestNodeBudget(t *testing.T) {
	cfg := Default()
	cfg.Loops = 2
	cfg.QueuedNodeBytes, cfg.QueuedHardBytes = 2<<20, 2<<20
	const peers = 20
	within := func(t *testing.T, r *Reactor) {
		t.Helper()
		// Each loop may be one message above it when both add at the same moment.
		if s := r.Stats(); s.QueuedBytes > 2*int64(cfg.QueuedNodeBytes) {
			t.Fatalf("%d bytes wait, the node's budget is %d", s.QueuedBytes, cfg.QueuedNodeBytes)
		}
	}
	t.Run("answers", func(t *testing.T) {
		r, addr := serve(t, cfg, Echo{})
		frame := ws.MustCompileFrame(ws.MaskFrameInPlace(ws.NewBinaryFrame(make([]byte, 100<<10))))
		var wg sync.WaitGroup
		for range peers {
			c := dial(t, addr)
			_ = c.(*net.TCPConn).SetReadBuffer(4096)
			wg.Go(func() {
				for range 17 {
					if _, err := c.Write(frame); err != nil {
						return
					}
				}
			})
		}
		wg.Wait()
		waitFor(t, "connections to be closed for it", func() bool { return r.Stats().TooSlow > 0 })
		within(t, r)
	})
	t.Run("messages", func(t *testing.T) {
		h := newCollector()
		r, addr := serve(t, cfg, h)
		var ids []ConnID
		for range peers {
			dial(t, addr)
			ids = append(ids, <-h.opened)
		}
		rc := newReceipts(peers)
		r.SendMany(ids, OpBinary, make([]byte, 1<<20+512<<10), rc, 0)
		waitFor(t, "connections to be closed for it", func() bool { return r.Stats().TooSlow > 0 })
		within(t, r)
	})
}

func TestUnfinishedMessageIsTimedOut(t *testing.T) {
	cfg := Default()
	for name, begun := range map[string][]byte{
		"half a header":  masked(OpText, "hello")[:1],
		"half a frame":   masked(OpText, "hello")[:8],
		"half a message": append([]byte{byte(OpText), 0x85}, masked(OpText, "hello")[2:]...),
		"half a ping":    masked(OpPing, "hello")[:8],
	} {
		t.Run(name, func(t *testing.T) {
			d := detached(t, cfg, Echo{})
			d.conn.pingTick = d.loop.tick + 1<<20
			d.Feed(begun)
			d.Advance(cfg.MessageTimeout - time.Second)
			if out := d.Output(); len(out) != 0 {
				t.Fatalf("too early: %q", out)
			}
			d.Advance(2 * time.Second)
			if out := d.Output(); !bytes.Equal(out, appendClose(nil, ClosePolicy, "message not whole in time")) {
				t.Fatalf("got %q", out)
			}
		})
	}
}

func TestPeerThatTakesNothingIsTimedOut(t *testing.T) {
	cfg := Default()
	d := detached(t, cfg, Echo{})
	d.conn.pingTick = d.loop.tick + 1<<20
	d.room = 10 // then the socket is full
	d.Feed(masked(OpText, "0123456789"))
	d.Feed(masked(OpText, "0123456789"))
	if got := d.conn.out.waiting(); got != 14 {
		t.Fatalf("%d bytes wait", got)
	}
	d.Advance(cfg.SlowTimeout - time.Second)
	if d.conn.state != stateOpen {
		t.Fatal("too early")
	}
	d.Advance(2 * time.Second)
	if d.conn.state != stateLingering || d.conn.closeCode != CloseSlow || d.loop.stats.TooSlow != 1 {
		t.Fatalf("state %d, code %d", d.conn.state, d.conn.closeCode)
	}
	d.Advance(cfg.CloseTimeout + time.Second)
	if !d.Closed() || d.reactor.queued.Load() != 0 {
		t.Fatalf("closed %v, %d bytes accounted for", d.Closed(), d.reactor.queued.Load())
	}
}

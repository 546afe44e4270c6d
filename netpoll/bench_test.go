package netpoll

import (
	"io"
	"runtime"
	"testing"
	"unsafe"
)

func connSize() uintptr { return unsafe.Sizeof(Conn{}) }

// BenchmarkRead is a whole small text message through a connection: bytes to handler
// to reply, without the socket.
func BenchmarkRead(b *testing.B) {
	cfg := Default()
	cfg.FramesPerSecondMax = 1 << 30
	d := detached(b, cfg, Echo{})
	frame := masked(OpText, "hello, world, how are you")
	d.out = make([]byte, 0, 1<<20)
	b.ReportAllocs()
	for b.Loop() {
		d.Feed(frame)
		d.out = d.out[:0]
	}
}

// BenchmarkReadInPieces is the same message arriving in three reads.
func BenchmarkReadInPieces(b *testing.B) {
	cfg := Default()
	cfg.FramesPerSecondMax = 1 << 30
	d := detached(b, cfg, Echo{})
	frame := masked(OpText, "hello, world, how are you")
	d.out = make([]byte, 0, 1<<20)
	b.ReportAllocs()
	for b.Loop() {
		d.Feed(frame[:1])
		d.Feed(frame[1:12])
		d.Feed(frame[12:])
		d.out = d.out[:0]
	}
}

// BenchmarkUpgrade is a whole request to a 101, without the socket.
func BenchmarkUpgrade(b *testing.B) {
	cfg := Default()
	d := detached(b, cfg, Echo{})
	request := []byte(upgradeRequest)
	d.out = make([]byte, 0, 1<<20)
	b.ReportAllocs()
	for b.Loop() {
		d.conn.state = stateRequest
		d.Feed(request)
		d.out = d.out[:0]
	}
}

// BenchmarkSend is a message from another goroutine to the kernel of a connected
// socket, the loop's turn included.
func BenchmarkSend(b *testing.B) {
	h := newCollector()
	r, addr := serve(b, Default(), h)
	conn := dial(b, addr)
	id := <-h.opened
	go io.Copy(io.Discard, conn)
	payload := []byte("a message of thirty-two bytes...")
	rc := &window{free: make(chan struct{}, 256)}
	for range cap(rc.free) {
		rc.free <- struct{}{}
	}
	b.ReportAllocs()
	for b.Loop() {
		<-rc.free
		r.Send(id, OpText, payload, rc, 0)
	}
}

type window struct{ free chan struct{} }

func (w *window) Sent(uint64, Result) { w.free <- struct{}{} }

func TestHotPathsAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	cfg := Default()
	cfg.FramesPerSecondMax = 1 << 30
	d := detached(t, cfg, Echo{})
	d.out = make([]byte, 0, 1<<20)
	text, ping, binary := masked(OpText, "hello"), masked(OpPing, "x"), masked(OpBinary, "0123456789")
	d.Feed(text)
	for name, f := range map[string]func(){
		"read text":       func() { d.Feed(text); d.out = d.out[:0] },
		"read ping":       func() { d.Feed(ping); d.out = d.out[:0] },
		"read in pieces":  func() { d.Feed(binary[:3]); d.Feed(binary[3:9]); d.Feed(binary[9:]); d.out = d.out[:0] },
		"timer":           func() { d.loop.schedule(d.conn, d.loop.tickAfter(d.reactor.cfg.PingInterval)) },
		"frame and drain": func() { sendDetached(d) },
	} {
		if n := testing.AllocsPerRun(1000, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	runtime.KeepAlive(d)
}

// sendDetached is Reactor.Send and the loop's drain without a bell.
func sendDetached(d *Detached) {
	d.loop.beginTurn()
	d.reactor.Send(d.conn.ID(), OpText, []byte("hello"), nil, 0)
	d.loop.take(false)
	d.loop.link(d.loop.draining.sends)
	for _, c := range d.loop.dirty {
		d.loop.flush(c, d.loop.draining.sends)
	}
	d.loop.dirty = d.loop.dirty[:0]
	d.loop.draining.sends, d.loop.draining.arena = d.loop.draining.sends[:0], d.loop.draining.arena[:0]
	d.out = d.out[:0]
}

package peer

import (
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// raced says that the race detector is on: goroutines of both ends then allocate.
var raced bool

// credit is a receipt that lets a sender have so many messages in flight.
type credit struct {
	tokens  chan struct{}
	written atomic.Uint64
}

func (c *credit) Answered(_ uint64, o *wire.Outcomes) {
	if o.Final {
		c.Failed(0, o.Devices[0].Outcome)
	}
}

func (c *credit) Failed(_ uint64, o session.Outcome) {
	if o == session.Written {
		c.written.Add(1)
	}
	c.tokens <- struct{}{}
}

func newCredit(n int) *credit {
	c := &credit{tokens: make(chan struct{}, n)}
	for range n {
		c.tokens <- struct{}{}
	}
	return c
}

func answering(n *node, cfg *Config, _ *Identity, _ *Handlers) {
	*cfg = Default()
	cfg.Listen = "127.0.0.1:0"
	n.on = func(_ *wire.Forward, reply Reply) { reply.Outcome(session.Written) }
}

// TestSendAllocatesNothing counts what both ends of a round trip allocate: all of it,
// since AllocsPerRun counts the process.
func TestSendAllocatesNothing(t *testing.T) {
	if raced {
		t.Skip("the race detector allocates")
	}
	a, b := start(t, "a", 1, answering), start(t, "b", 1, answering)
	introduce(t, a, b)
	const batch = 1000
	c := newCredit(batch)
	m := message("tv")
	trip := func() {
		for range batch {
			<-c.tokens
			a.Send("b", m, c, 1)
		}
		for range batch {
			<-c.tokens
		}
		for range batch {
			c.tokens <- struct{}{}
		}
	}
	for range 20 {
		trip() // buffers and pages reach their size
	}
	if n := testing.AllocsPerRun(20, trip); n > 5 { // of the runtime, and of ticks
		t.Errorf("%v allocations for %d messages", n, batch)
	}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkRoundTrip sends messages over loopback and has each answered written.
// cpu-µs/message is user and system time of the process: senders, both links'
// goroutines and the kernel, at both ends.
func BenchmarkRoundTrip(b *testing.B) {
	for _, c := range []struct {
		name                       string
		inFlight, payload, senders int
	}{
		{"in-flight=1/100B", 1, 100, 1},
		{"in-flight=8/100B", 8, 100, 1},
		{"in-flight=64/100B", 64, 100, 1},
		{"in-flight=4096/100B", 4096, 100, 1},
		{"in-flight=4096/100B/4-senders", 4096, 100, 4},
		{"in-flight=4096/1KiB", 4096, 1 << 10, 1},
		{"in-flight=64/64KiB", 64, 64 << 10, 1},
	} {
		b.Run(c.name, func(b *testing.B) { benchmarkRoundTrip(b, c.inFlight, c.payload, c.senders, answering) })
	}
}

// BenchmarkRoundTripTLS is what mutual TLS adds.
func BenchmarkRoundTripTLS(b *testing.B) {
	ca := newAuthority(b)
	secured := func(n *node, cfg *Config, self *Identity, h *Handlers) {
		answering(n, cfg, self, h)
		ca.secure(b, self.Node, ca)(n, cfg, self, h)
	}
	b.Run("in-flight=4096/100B", func(b *testing.B) { benchmarkRoundTrip(b, 4096, 100, 1, secured) })
}

func benchmarkRoundTrip(b *testing.B, inFlight, payload, senders int, change setup) {
	x, y := start(b, "a", 1, change), start(b, "b", 1, change)
	defer x.Close()
	defer y.Close()
	introduce(b, x, y)
	c := newCredit(inFlight)
	m := message("device-1")
	m.Payload = make([]byte, payload)
	runtime.GC()
	before := x.Stats()
	var work sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	cpu := cpuTime()
	for i := range senders {
		work.Go(func() {
			for range b.N/senders + min(1, max(0, b.N%senders-i)) {
				<-c.tokens
				x.Send("b", m, c, 1)
			}
		})
	}
	work.Wait()
	for range inFlight {
		<-c.tokens
	}
	cpu = cpuTime() - cpu
	b.StopTimer()
	if got := c.written.Load(); got != uint64(b.N) {
		b.Errorf("%d of %d were written", got, b.N)
	}
	b.ReportMetric(float64(cpu.Nanoseconds())/1000/float64(b.N), "cpu-µs/message")
	b.ReportMetric(float64(b.N)/float64(x.Stats().WritesOut-before.WritesOut), "messages/write")
}

func BenchmarkFlights(b *testing.B) {
	f := flights{max: 1 << 20}
	receipt := newCredit(1)
	b.ReportAllocs()
	for b.Loop() {
		ref, _ := f.take(receipt, 1, 1)
		f.answer(ref, true)
	}
}

// BenchmarkControl sends deltas of 64 changes, encoded once for all.
func BenchmarkControl(b *testing.B) {
	x, y := start(b, "a", 1, answering), start(b, "b", 1, answering)
	defer x.Close()
	defer y.Close()
	y.quiet = true
	introduce(b, x, y)
	body := wire.AppendDelta(nil, &wire.Delta{Author: session.Origin{Node: "a", Epoch: 1}, First: 1, Changes: make([]wire.Change, 64)})
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		for !x.Control("b", wire.LinkTypeDelta, body) {
			runtime.Gosched()
		}
	}
	b.ReportMetric(float64(b.N)*64/b.Elapsed().Seconds(), "changes/s")
}

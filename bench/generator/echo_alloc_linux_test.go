package generator

import (
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/roostpush/roost/bench/tally"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echoPair is a loop with one open connection whose other end is at hand.
func echoPair(tb testing.TB) (l *loop, p *echoing, c *conn, peer int) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
	l = &loop{clock: NewClock(), rare: map[int32]*rare{}, buffer: make([]byte, 64<<10), masks: 1}
	l.plan.Config = Default()
	l.shares = 1
	c = l.slots.take()
	c.fd, c.state = int32(fds[0]), stateOpen
	p = newEchoing(l, Phase{Kind: Echo, PerSecond: 1000, PayloadBytes: 64}, l.clock.Now())
	l.phase = p
	return l, p, c, fds[1]
}

// echoOnce sends one message and takes its echo, which an honest server would send.
func echoOnce(l *loop, p *echoing, c *conn, peer int, buffer []byte) {
	now := l.clock.Now()
	p.send(l, c, now, now)
	n, _ := rawRead(peer, buffer)
	unmasked := buffer[4:n] // head of 2, key of 4: the server's head is written over the key's end
	var key [4]byte
	copy(key[:], buffer[2:6])
	for i := range unmasked[2:] {
		unmasked[2+i] ^= key[i%4]
	}
	unmasked[0], unmasked[1] = 0x82, byte(len(unmasked)-2)
	rawWrite(peer, unmasked)
	l.read(c, false)
}

// A message costs the generator no garbage: its collector must not disturb what it
// measures.
func TestEchoAllocatesNothing(t *testing.T) {
	l, p, c, peer := echoPair(t)
	buffer := make([]byte, 4096)
	echoOnce(l, p, c, peer, buffer) // makes histograms and scratch
	if n := testing.AllocsPerRun(1000, func() { echoOnce(l, p, c, peer, buffer) }); n != 0 {
		t.Errorf("%v allocations for each echo", n)
	}
	if got := l.since.Get(tally.Received); got != 1002 || p.outstanding != 0 {
		t.Errorf("%d of 1002 came back", got)
	}
}

func BenchmarkEcho(b *testing.B) {
	l, p, c, peer := echoPair(b)
	buffer := make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		echoOnce(l, p, c, peer, buffer)
	}
}

// What the kernel does not take is kept in order, up to the named limit.
func TestFullSocketKeepsOrderAndIsBounded(t *testing.T) {
	l, p, c, peer := echoPair(t)
	l.plan.Config.OutBytesMax = 10_000
	for l.since.Get(tally.Unsent) == 0 {
		p.send(l, c, 0, 0)
	}
	if kept := len(l.rare[c.slot].unsent); kept < 10_000 || kept > 11_000 {
		t.Errorf("%d bytes are kept", kept)
	}
	buffer := make([]byte, 1<<20)
	total := 0
	for {
		n, errno := rawRead(peer, buffer)
		if errno == unix.EAGAIN {
			if !c.rare {
				break
			}
			l.flush(c)
			continue
		}
		total += n
	}
	if want := int(c.sent) * (6 + 64); total != want {
		t.Errorf("%d bytes arrived, %d were sent", total, want)
	}
	if len(l.rare) != 0 {
		t.Error("the rare part outlives its use")
	}
}

package netpoll

import (
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// isRung says whether a bell was rung and not silenced.
func isRung(t *testing.T, b *bell) bool {
	t.Helper()
	look := []unix.PollFd{{Fd: int32(b.fd()), Events: unix.POLLIN}}
	n, err := unix.Poll(look, 0)
	if err != nil {
		t.Fatal(err)
	}
	return n > 0
}

// TestBell sends to a loop in a turn, which need not be woken, and to one that is asleep,
// which is woken once.
func TestBell(t *testing.T) {
	d := detached(t, Default(), Echo{})
	l := d.loop
	var err error
	if l.bell, err = newBell(); err != nil {
		t.Fatal(err)
	}
	send := func() { d.reactor.Send(d.conn.ID(), OpText, []byte("hi"), nil, 0) }
	const frame = "\x81\x02hi"
	l.beginTurn()
	send()
	send()
	if isRung(t, l.bell) {
		t.Error("a loop that is awake is woken")
	}
	if l.endTurn() {
		t.Error("there is more to do")
	}
	if out := string(d.Output()); out != frame+frame {
		t.Errorf("what left at the turn's end is %q", out)
	}
	for range 2 {
		send()
		if !isRung(t, l.bell) {
			t.Fatal("a loop that is asleep is not woken")
		}
		l.bell.silence()
		send()
		if isRung(t, l.bell) {
			t.Error("a loop that was woken is woken once more")
		}
		l.beginTurn()
		l.endTurn()
		if out := string(d.Output()); out != frame+frame {
			t.Errorf("what left is %q", out)
		}
	}
}

// again is a receipt that sends once more, so often.
type again struct {
	d    *Detached
	left int
}

func (a *again) Sent(uint64, Result) {
	if a.left--; a.left >= 0 {
		a.d.reactor.Send(a.d.conn.ID(), OpText, []byte("x"), a, 0)
	}
}

// TestTurnsEnd has more to send than a turn takes: input is looked at in between, and
// nothing is left when the loop falls asleep.
func TestTurnsEnd(t *testing.T) {
	cfg := Default()
	cfg.OutboxBatch = 4
	d := detached(t, cfg, Echo{})
	var err error
	if d.loop.yield, err = newYielder(); err != nil { // turns that are full yield, on a slow machine
		t.Fatal(err)
	}
	defer d.loop.yield.close()
	l := d.loop
	l.beginTurn()
	for range 5 {
		d.reactor.Send(d.conn.ID(), OpText, []byte("x"), nil, 0)
	}
	d.reactor.Send(d.conn.ID(), OpText, []byte("x"), &again{d, 4}, 0)
	for _, want := range []int{4, 4, 2} { // the last turn has room
		more := l.endTurn()
		if n := strings.Count(string(d.Output()), "x"); n != want || more != (want == 4) {
			t.Errorf("%d messages left, and more is %v; want %d", n, more, want)
		}
	}
	if l.exchange.awake.Load() {
		t.Error("the loop is not asleep")
	}
}

// TestLoopWaitsThroughGo finds a loop that has nothing to do parked: one that waited in a
// call of its own would keep its processor from everybody who waits for a socket of Go's.
func TestLoopWaitsThroughGo(t *testing.T) {
	if listenerEdge {
		t.Skip("kqueue is gnet's, which waits in the call")
	}
	cfg := Default()
	cfg.Loops = 1
	serve(t, cfg, newCollector())
	stacks := make([]byte, 1<<20)
	for range 100_000 {
		text := string(stacks[:runtime.Stack(stacks, true)])
		for one := range strings.SplitSeq(text, "\n\n") {
			if strings.Contains(one, "(*loop).run") && strings.Contains(one, "[IO wait") {
				return
			}
		}
		runtime.Gosched()
	}
	t.Errorf("no loop is parked:\n%s", stacks[:runtime.Stack(stacks, true)])
}

//go:build linux

package bench

import (
	"bytes"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/roostpush/roost/bench/generator"
	"github.com/roostpush/roost/bench/report"
	"github.com/roostpush/roost/bench/tally"
)

// shortPush is 1,000 messages at 2,000 a second.
var shortPush = MessageLoad{PerSecond: 2000, PayloadBytes: 80, Duration: 500 * time.Millisecond, Timeout: patience, Group: 2}

// lightPush is 200 messages at 200 a second, of which some never arrive.
var lightPush = MessageLoad{PerSecond: 200, PayloadBytes: 80, Duration: time.Second, Timeout: vain, Group: 2}

func TestHonestNode(t *testing.T) {
	for _, c := range []struct {
		name  string
		kind  generator.Kind
		loops int
		load  func(*MessageLoad)
		sent  int64
	}{
		{"push", generator.Push, 1, func(*MessageLoad) {}, 1000},
		{"push, two loops, large", generator.Push, 2, func(m *MessageLoad) { m.PayloadBytes = 3000 }, 1000},
		{"relay", generator.Relay, 1, func(*MessageLoad) {}, 1000},
		{"relay, accounts of four, two loops", generator.Relay, 2, func(m *MessageLoad) { m.Group = 4 }, 1000},
		{"fan-out to all, three loops", generator.Fanout, 3, func(m *MessageLoad) { m.PerSecond = 20 }, 200},
		{"fan-out to an account", generator.Fanout, 1, func(m *MessageLoad) { m.PerSecond, m.Account = 20, true }, 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			load := shortPush
			c.load(&load)
			s := (&fakeNode{}).start(t).against(t, MessagePhases(c.kind, 20, load))
			s.Loops = c.loops
			if s.Target.Account = "acc-{i/2}"; load.Group == 4 {
				s.Target.Account = "acc-{i/4}"
			}
			if load.Account {
				s.Target.Account = "one"
			}
			r := mustRun(t, s, Options{})
			wantCounts(t, r, map[tally.Counter]int64{
				tally.Opened: 20, tally.Sent: c.sent, tally.Received: c.sent, tally.Lost: 0, tally.Duplicated: 0, tally.Reordered: 0,
				tally.Corrupt: 0, tally.Undelivered: 0, tally.Unanswered: 0, tally.Unsent: 0,
			})
			if r.Total.Outcomes["written"] != c.sent {
				t.Errorf("outcomes %v", r.Total.Outcomes)
			}
			if r.Exit() != report.ExitOK {
				t.Errorf("exit %d, early %q", r.Exit(), r.Early)
			}
		})
	}
}

func TestPushClosedLoop(t *testing.T) {
	load := MessageLoad{Window: 8, PayloadBytes: 80, Duration: 200 * time.Millisecond, Timeout: patience}
	r := mustRun(t, (&fakeNode{}).start(t).against(t, MessagePhases(generator.Push, 10, load)), Options{})
	sent := r.Total.Get(tally.Sent)
	if sent < 16 || sent != r.Total.Get(tally.Received) || sent != r.Total.Get(tally.Answered) {
		t.Errorf("sent %d, received %d, answered %d", sent, r.Total.Get(tally.Received), r.Total.Get(tally.Answered))
	}
	if r.Total.Timings[tally.Push] != nil || r.Total.Timing(tally.PushClosed).Count() != sent || r.Total.Timing(tally.OutcomeClosed).Count() != sent {
		t.Error("a closed loop must have the closed-loop figures and no others")
	}
}

// Every lie that a node can tell about pushes is counted exactly.
func TestLyingNodes(t *testing.T) {
	t.Parallel()
	var told atomic.Int64
	var kept []byte
	for _, c := range []struct {
		name    string
		counter tally.Counter
		push    func(n int64, to string, frame []byte) ([]delivery, string)
	}{
		{"says written and drops one in twenty", tally.Lost, func(n int64, to string, frame []byte) ([]delivery, string) {
			if n%20 == 5 {
				told.Add(1)
				return nil, "written"
			}
			return []delivery{{to, frame}}, ""
		}},
		{"is honest about those who are away", tally.Undelivered, func(n int64, to string, frame []byte) ([]delivery, string) {
			if n%50 == 5 {
				told.Add(1)
				return nil, "offline"
			}
			return []delivery{{to, frame}}, ""
		}},
		{"delivers twice", tally.Duplicated, func(n int64, to string, frame []byte) ([]delivery, string) {
			if n%10 == 3 {
				told.Add(1)
				return []delivery{{to, frame}, {to, frame}}, ""
			}
			return []delivery{{to, frame}}, ""
		}},
		{"delivers to one device in the wrong order", tally.Reordered, func(n int64, to string, frame []byte) ([]delivery, string) {
			if to != "acc-0/dev-0" {
				return []delivery{{to, frame}}, ""
			}
			if kept == nil {
				kept = bytes.Clone(frame)
				return nil, "written"
			}
			told.Add(1)
			both := []delivery{{to, frame}, {to, kept}}
			kept = nil
			return both, ""
		}},
		{"changes a letter", tally.Corrupt, func(n int64, to string, frame []byte) ([]delivery, string) {
			if n == 7 {
				told.Add(1)
				frame = bytes.Replace(bytes.Clone(frame), []byte("AHOV"), []byte("AHOW"), 1)
			}
			return []delivery{{to, frame}}, ""
		}},
		{"delivers to somebody else", tally.Corrupt, func(n int64, to string, frame []byte) ([]delivery, string) {
			if n == 7 {
				told.Add(1)
				to = "acc-3/dev-3"
			}
			return []delivery{{to, frame}}, ""
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			told.Store(0)
			kept = nil
			s := (&fakeNode{push: c.push}).start(t).against(t, MessagePhases(generator.Push, 20, lightPush))
			s.Thresholds = []string{c.counter.String() + "==0"}
			r := mustRun(t, s, Options{})
			want := told.Load()
			if want == 0 {
				t.Fatal("the node did not lie")
			}
			counts := map[tally.Counter]int64{c.counter: want, tally.Sent: 200, tally.Answered: 200}
			if c.counter == tally.Undelivered {
				counts[tally.Lost] = 0 // it said so: that is no loss
			}
			wantCounts(t, r, counts)
			if r.Exit() != report.ExitThreshold {
				t.Errorf("exit %d, want %d", r.Exit(), report.ExitThreshold)
			}
		})
	}
}

func TestLyingRelay(t *testing.T) {
	t.Parallel()
	node := &fakeNode{push: func(n int64, to string, frame []byte) ([]delivery, string) {
		switch n {
		case 20:
			return nil, "written" // lost
		case 40:
			return nil, "overloaded" // honest
		case 60:
			return []delivery{{to, frame}, {to, frame}}, ""
		}
		return []delivery{{to, frame}}, ""
	}}
	s := node.start(t).against(t, MessagePhases(generator.Relay, 20, lightPush))
	s.Target.Account = "acc-{i/2}"
	r := mustRun(t, s, Options{})
	wantCounts(t, r, map[tally.Counter]int64{tally.Sent: 200, tally.Received: 198, tally.Lost: 1, tally.Undelivered: 1, tally.Duplicated: 1, tally.Answered: 200})
	if r.Total.Outcomes["overloaded"] != 1 {
		t.Errorf("outcomes %v", r.Total.Outcomes)
	}
}

// A device that is left out of a fan-out is found, and the time to the last device is
// that of the messages that reached all.
func TestFanoutThatMissesADevice(t *testing.T) {
	t.Parallel()
	node := &fakeNode{push: func(n int64, to string, frame []byte) ([]delivery, string) {
		if to == "acc-4/dev-4" && n == 3 {
			return nil, "written"
		}
		return []delivery{{to, frame}}, ""
	}}
	load := MessageLoad{PerSecond: 20, PayloadBytes: 80, Duration: 500 * time.Millisecond, Timeout: vain}
	s := node.start(t).against(t, MessagePhases(generator.Fanout, 20, load))
	s.Loops = 2
	r := mustRun(t, s, Options{})
	wantCounts(t, r, map[tally.Counter]int64{tally.Sent: 200, tally.Received: 199, tally.Lost: 1})
	if n := r.Total.Timing(tally.FanoutLast).Count(); n != 9 {
		t.Errorf("%d of 10 messages reached all devices, want 9", n)
	}
	if last, each := r.Total.Timing(tally.FanoutLast).Max(), r.Total.Timing(tally.Fanout).Max(); last == 0 || last > each {
		t.Errorf("the last device got it after %v, one of them after %v", last, each)
	}
}

// A node that says whom it did not reach has lost nobody.
func TestFanoutThatIsHonest(t *testing.T) {
	t.Parallel()
	node := &fakeNode{push: func(n int64, to string, frame []byte) ([]delivery, string) {
		if n == 3 {
			return nil, "overloaded"
		}
		return []delivery{{to, frame}}, ""
	}}
	load := MessageLoad{PerSecond: 20, PayloadBytes: 80, Duration: 500 * time.Millisecond, Timeout: vain} // one goes nowhere
	r := mustRun(t, node.start(t).against(t, MessagePhases(generator.Fanout, 20, load)), Options{})
	wantCounts(t, r, map[tally.Counter]int64{tally.Received: 180, tally.Lost: 0, tally.Undelivered: 20})
}

func TestLatePushesShowInOpenLoop(t *testing.T) {
	const pause = 100 * time.Millisecond
	node := &fakeNode{push: func(n int64, to string, frame []byte) ([]delivery, string) {
		if n%50 == 49 {
			time.Sleep(pause)
		}
		return []delivery{{to, frame}}, ""
	}}
	load := MessageLoad{PerSecond: 200, PayloadBytes: 80, Duration: time.Second, Timeout: patience}
	r := mustRun(t, node.start(t).against(t, MessagePhases(generator.Push, 5, load)), Options{})
	for _, timer := range []tally.Timer{tally.Push, tally.Outcome} {
		if p99 := r.Total.Timing(timer).Quantile(99); p99 < pause*9/10 {
			t.Errorf("%s p99 %v hides a pause of %v", timer, p99, pause)
		}
	}
}

func TestResultsThatNeverCome(t *testing.T) {
	t.Parallel()
	s := (&fakeNode{mute: 1 << 40}).start(t).against(t, MessagePhases(generator.Push, 20, lightPush))
	s.Thresholds = []string{"unanswered==0"}
	r := mustRun(t, s, Options{})
	wantCounts(t, r, map[tally.Counter]int64{tally.Sent: 200, tally.Received: 200, tally.Unanswered: 200, tally.Lost: 0})
	if r.Exit() != report.ExitThreshold {
		t.Errorf("exit %d", r.Exit())
	}
}

func TestStreamThatIsCut(t *testing.T) {
	t.Parallel()
	s := (&fakeNode{cutAt: 100}).start(t).against(t, MessagePhases(generator.Push, 20, lightPush))
	s.Loops = 2
	r := mustRun(t, s, Options{})
	if r.Exit() != report.ExitEarly || !strings.Contains(r.Early, "draining") {
		t.Errorf("exit %d, early %q", r.Exit(), r.Early)
	}
	if r.Total.Get(tally.Received) == 0 || r.Total.Get(tally.Unanswered) == 0 {
		t.Errorf("%d received, %d unanswered", r.Total.Get(tally.Received), r.Total.Get(tally.Unanswered))
	}
}

func TestAPIThatIsNone(t *testing.T) {
	node := (&fakeNode{}).start(t)
	for _, c := range []struct {
		api  string
		says string
	}{
		{"http://127.0.0.1:1", "nothing listens"},
		{"http://" + strings.TrimSuffix(strings.TrimPrefix(node.url, "ws://"), "/ws"), "HTTP 4"},
	} {
		s := node.against(t, MessagePhases(generator.Push, 5, shortPush))
		var err error
		if s.API, err = ParseAPI(c.api); err != nil {
			t.Fatal(err)
		}
		if _, err = Run(t.Context(), s, Options{}); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error %v does not say %q", c.api, err, c.says)
		}
	}
	for _, bad := range []string{"127.0.0.1:8081", "https://x", "http://x/v1/messages", "http://"} {
		if _, err := ParseAPI(bad); err == nil {
			t.Errorf("%q is taken for an API", bad)
		}
	}
}

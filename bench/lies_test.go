//go:build linux

package bench

import (
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/roostpush/roost/bench/report"
	"github.com/roostpush/roost/bench/tally"
)

func TestLyingServers(t *testing.T) {
	t.Parallel()
	var told atomic.Int64
	for _, c := range []struct {
		name    string
		counter tally.Counter
		answer  func(c *session, op ws.OpCode, payload []byte) error
	}{
		{"drops one in twenty", tally.Lost, func(c *session, op ws.OpCode, payload []byte) error {
			if told.Add(1)%20 == 0 {
				return nil
			}
			return c.write(op, payload)
		}},
		{"says every tenth twice", tally.Duplicated, func(c *session, op ws.OpCode, payload []byte) error {
			if number(payload)%10 == 3 {
				told.Add(1)
				if err := c.write(op, payload); err != nil {
					return err
				}
			}
			return c.write(op, payload)
		}},
		{"swaps pairs", tally.Reordered, func(c *session, op ws.OpCode, payload []byte) error {
			if number(payload)%2 == 0 {
				c.kept = payload
				return nil
			}
			told.Add(1)
			if err := c.write(op, payload); err != nil {
				return err
			}
			return c.write(op, c.kept)
		}},
		{"changes a letter", tally.Corrupt, func(c *session, op ws.OpCode, payload []byte) error {
			if number(payload) == 5 {
				told.Add(1)
				payload[40]++
			}
			return c.write(op, payload)
		}},
		{"answers on the wrong connection", tally.Corrupt, func(c *session, op ws.OpCode, payload []byte) error {
			if number(payload) == 7 {
				told.Add(1)
				payload[0]++
			}
			return c.write(op, payload)
		}},
		{"sends something else too", tally.Other, func(c *session, op ws.OpCode, payload []byte) error {
			told.Add(1)
			if err := c.write(ws.OpText, []byte("hello")); err != nil {
				return err
			}
			return c.write(op, payload)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			told.Store(0)
			s := quick((&server{answer: c.answer}).start(t).url, EchoPhases(20, lightEcho))
			s.Thresholds = []string{c.counter.String() + "==0"}
			r := mustRun(t, s, Options{})
			want := told.Load()
			if c.counter == tally.Lost {
				want /= 20
			}
			if want == 0 {
				t.Fatal("the server did not lie")
			}
			wantCounts(t, r, map[tally.Counter]int64{c.counter: want, tally.Sent: 200})
			if r.Exit() != report.ExitThreshold {
				t.Errorf("exit %d, want %d", r.Exit(), report.ExitThreshold)
			}
		})
	}
}

func TestLateBurstsShowInOpenLoop(t *testing.T) {
	const pause = 100 * time.Millisecond
	s := &server{answer: func(c *session, op ws.OpCode, payload []byte) error {
		if c.messages%50 == 0 {
			time.Sleep(pause)
		}
		return c.write(op, payload)
	}}
	load := EchoLoad{PerSecond: 200, PayloadBytes: 20, Duration: time.Second, Timeout: patience}
	r := mustRun(t, quick(s.start(t).url, EchoPhases(1, load)), Options{})
	if p99 := r.Total.Timing(tally.Echo).Quantile(99); p99 < pause*9/10 {
		t.Errorf("p99 %v hides a pause of %v", p99, pause)
	}
	wantCounts(t, r, map[tally.Counter]int64{tally.Sent: 200, tally.Received: 200})
}

func TestIdleProvesTheLivingAndFindsTheDead(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		pong   func(n int64) bool
		window int64
		dead   int64
		exit   int
	}{
		{"all answer", nil, 100, 0, report.ExitOK},
		{"none answers", func(int64) bool { return false }, 100, 30, report.ExitThreshold},
		{"every third is deaf", func(n int64) bool { return n%3 != 0 }, 100, 10, report.ExitThreshold},
		{"all answer, a few at a time", nil, 3, 0, report.ExitOK},
		{"none answers, a few at a time", func(int64) bool { return false }, 3, 30, report.ExitThreshold},
		{"the deaf hold nobody up", func(n int64) bool { return n%3 != 0 }, 3, 10, report.ExitThreshold},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := quick((&server{pong: c.pong}).start(t).url, IdlePhases(30, 0, 50*time.Millisecond, vain))
			s.Thresholds = []string{"dead==0"}
			s.Config.ProofsInflight, s.Config.ProofStall = c.window, 20*time.Millisecond
			r := mustRun(t, s, Options{})
			wantCounts(t, r, map[tally.Counter]int64{tally.Opened: 30, tally.Dead: c.dead, tally.Proved: 30 - c.dead})
			if r.Exit() != c.exit {
				t.Errorf("exit %d, want %d", r.Exit(), c.exit)
			}
		})
	}
}

func TestIdleCountsTheEnded(t *testing.T) {
	s := &server{}
	s.greet = func(c net.Conn) {
		if s.upgrade.Load()%2 == 0 {
			return
		}
		_ = ws.WriteFrame(c, ws.NewCloseFrame(ws.NewCloseFrameBody(1001, "bye")))
	}
	r := mustRun(t, quick(s.start(t).url, IdlePhases(40, 200, 100*time.Millisecond, patience)), Options{})
	ended := r.Total.Get(tally.Ended)
	if ended == 0 || r.Total.Closes[1001] != ended {
		t.Fatalf("ended %d, closes %v", ended, r.Total.Closes)
	}
	wantCounts(t, r, map[tally.Counter]int64{tally.Opened: 40, tally.Dead: ended, tally.Proved: 40 - ended})
}

func TestClosesAfterTheHandshake(t *testing.T) {
	s := &server{greet: func(c net.Conn) { c.Close() }}
	r := mustRun(t, quick(s.start(t).url, EchoPhases(10, shortEcho)), Options{})
	if r.Exit() != report.ExitEarly || !strings.Contains(r.Early, "no connection is left") {
		t.Errorf("exit %d, early %q", r.Exit(), r.Early)
	}
	if r.Total.Get(tally.Ended)+r.Total.Get(tally.Failed) != 10 {
		t.Errorf("%d ended, %d failed", r.Total.Get(tally.Ended), r.Total.Get(tally.Failed))
	}
}

func TestAnswersPings(t *testing.T) {
	s := &server{greet: func(c net.Conn) {
		for range 3 {
			_ = ws.WriteFrame(c, ws.NewPingFrame([]byte("are you there")))
		}
	}}
	r := mustRun(t, quick(s.start(t).url, IdlePhases(10, 0, 50*time.Millisecond, patience)), Options{})
	wantCounts(t, r, map[tally.Counter]int64{tally.Pings: 30, tally.Proved: 10})
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pongs != 30 {
		t.Errorf("the server got %d pongs", s.pongs)
	}
}

func TestPiecesAndFragments(t *testing.T) {
	s := &server{answer: func(c *session, op ws.OpCode, payload []byte) error {
		w := slowWriter{c.Conn}
		third := len(payload) / 3
		for i, f := range []ws.Frame{
			ws.NewFrame(op, false, payload[:third]),
			ws.NewPingFrame([]byte("between")),
			ws.NewFrame(ws.OpContinuation, false, payload[third:2*third]),
			ws.NewFrame(ws.OpContinuation, true, payload[2*third:]),
		} {
			if err := ws.WriteFrame(w, f); err != nil {
				return fmt.Errorf("frame %d: %w", i, err)
			}
		}
		return nil
	}}
	load := EchoLoad{PerSecond: 200, PayloadBytes: 150, Duration: 200 * time.Millisecond, Timeout: patience}
	r := mustRun(t, quick(s.start(t).url, EchoPhases(5, load)), Options{})
	wantCounts(t, r, map[tally.Counter]int64{tally.Sent: 40, tally.Received: 40, tally.Lost: 0, tally.Pings: 40})
}

func TestRefusalsAreErrorsByClass(t *testing.T) {
	s := &server{refuse: func(n int64, _ string) error {
		if n%4 == 0 {
			return refusing(503)
		}
		return nil
	}}
	r := mustRun(t, quick(s.start(t).url, ConnectPhases(200, 500*time.Millisecond, 0)), Options{})
	wantCounts(t, r, map[tally.Counter]int64{tally.Attempted: 100, tally.Opened: 75, tally.Failed: 25})
	if r.Total.Errors["http 503"] != 25 {
		t.Errorf("errors %v", r.Total.Errors)
	}
}

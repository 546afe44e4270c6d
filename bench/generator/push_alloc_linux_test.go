package generator

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/roostpush/roost/bench/tally"
	"github.com/roostpush/roost/bench/target"
)

// pushLoop is a loop with one device and one stream, whose other ends are at hand.
func pushLoop(t *testing.T) (l *loop, p *pushing, c *conn, device, api int) {
	l, _, c, device = echoPair(t)
	spec := target.Default()
	spec.URL = "ws://127.0.0.1:1/"
	var err error
	if l.target, err = spec.Compile(l.clock.base); err != nil {
		t.Fatal(err)
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
	phase := Phase{Kind: Push, PerSecond: 1000, PayloadBytes: 128}
	p = &pushing{spec: phase, filler: newStampFiller(phase.PayloadBytes), tail: lineTail(phase), connections: l.mine(phase)}
	p.roster = newRoster(l, p.connections)
	s := &apiStream{fd: fds[0], owner: p, paced: true, answer: answerStream{state: answerSize}}
	s.each = func(line []byte) { l.takeResult(s, line) }
	s.outcome = func(word []byte, n int64) { l.takeOutcome(s, word, n) }
	p.streams = [][]*apiStream{{s}}
	l.phase = p
	return l, p, c, device, fds[1]
}

// A push costs the generator no garbage, its result and its arrival included.
func TestPushAllocatesNothing(t *testing.T) {
	l, p, c, _, api := pushLoop(t)
	buffer := make([]byte, 4096)
	results := make([][]byte, 2000)
	for i := range results {
		line := fmt.Sprintf(`{"line":%d,"status":200,"id":"n.1","outcomes":[{"device":"dev-0","outcome":"written","node":"n"}]}`+"\n", i+1)
		results[i] = fmt.Appendf(nil, "%x\r\n%s\r\n", len(line), line)
	}
	frame := make([]byte, 0, 4096)
	next := 0
	once := func() {
		now := l.clock.Now()
		if !p.send(l, now, now) {
			t.Fatal("not sent")
		}
		l.flushStream(p.streams[0][0])
		n, _ := rawRead(api, buffer)
		_, rest, _ := cutPayload(buffer[:n])
		frame = append(append(append(frame[:0], `{"type":"message","payload":`...), rest...), '}')
		if err := p.streams[0][0].answer.feed(results[next], p.streams[0][0].each); err != nil {
			t.Fatal(err)
		}
		next++
		p.on(l, c, message, frame)
	}
	for range 600 { // makes histograms and scratch, and lets queues grow
		once()
	}
	if n := testing.AllocsPerRun(1000, once); n != 0 {
		t.Errorf("%v allocations for each push", n)
	}
	if got := l.since.Get(tally.Received); got != 1601 || p.outstanding != 0 || l.since.Get(tally.Answered) != 1601 {
		t.Errorf("%d of 1601 came, %d results", got, l.since.Get(tally.Answered))
	}
}

// cutPayload finds the payload in a line of pushes.
func cutPayload(chunk []byte) (before, payload []byte, ok bool) {
	const member, after = `"payload":`, `,"wait"`
	for i := range chunk {
		if len(chunk)-i > len(member) && string(chunk[i:i+len(member)]) == member {
			for j := i; j < len(chunk); j++ {
				if len(chunk)-j > len(after) && string(chunk[j:j+len(after)]) == after {
					return chunk[:i], chunk[i+len(member) : j], true
				}
			}
		}
	}
	return nil, nil, false
}

package generator

import (
	"bytes"
	"fmt"

	"github.com/roostpush/roost/bench/pace"
	"github.com/roostpush/roost/bench/tally"
)

// HOT PATH

// pushing gives numbered messages to the server's API, each to the next of the loop's
// own devices, at a rate (open loop) or with a window of messages without a result
// (closed loop), and checks what the devices get and what the results say. After its
// time it waits for both.
type pushing struct {
	spec        Phase
	tag         uint8
	schedule    pace.Schedule
	streams     [][]*apiStream // by node of the API
	connections []ref          // those that are still open, more or less
	next        int
	begun       int64
	window      int
	endNS       int64 // of sending
	drainNS     int64 // of waiting
	outstanding int64 // sent to devices and not arrived, which includes those that never will
	filler      []byte
	tail        string // of a line, behind the payload
	line        []byte
	roster      roster
	arrivals    window
	why         string
}

func newPushing(l *loop, spec Phase, atNS int64) *pushing {
	p := &pushing{
		spec: spec, tag: l.tag(), filler: newStampFiller(spec.PayloadBytes), tail: lineTail(spec), connections: l.mine(spec),
		schedule: pace.Schedule{StartNS: atNS, PerSecond: spec.PerSecond, Stride: l.shares, Offset: l.id},
		window:   int(max(pace.Share(int64(spec.Window), l.shares, l.id), 1)),
		endNS:    atNS + int64(spec.Duration),
	}
	p.roster = newRoster(l, p.connections)
	p.drainNS = p.endNS + int64(spec.Timeout)
	if spec.PerSecond > 0 {
		l.stampArrivals(p.connections)
	}
	p.connect(l)
	return p
}

// connect opens the streams to each node.
func (p *pushing) connect(l *loop) {
	for _, node := range l.plan.API.Nodes {
		var streams []*apiStream
		for range max(l.plan.API.Streams, 1) {
			s, err := l.openStream(p, node, p.spec.PerSecond > 0)
			if err != nil {
				p.stop(l, err.Error())
				return
			}
			streams = append(streams, s)
		}
		p.streams = append(p.streams, streams)
	}
}

// lineTail is the end of a push's line.
func lineTail(spec Phase) string {
	waits := spec.Waits
	if waits == "" {
		waits = "written"
	}
	tail := `,"wait":"` + waits + `"}` + "\n"
	if spec.TTL > 0 {
		tail = fmt.Sprintf(`,"ttl_ms":%d`, spec.TTL.Milliseconds()) + tail
	}
	return tail
}

func (p *pushing) turn(l *loop) (wakeNS int64, done bool) {
	switch {
	case l.stopping && p.why == "":
		p.stop(l, whyStopped)
	case l.connected == 0 && p.why == "" && l.nowNS < p.endNS:
		p.stop(l, WhyAllEnded)
	}
	wakeNS = p.endNS
	if p.spec.PerSecond > 0 {
		wakeNS = p.sendDue(l)
	} else if l.nowNS < p.endNS {
		p.fill(l)
	}
	for _, streams := range p.streams {
		for _, s := range streams {
			l.flushStream(s)
		}
	}
	// What was meant to start before the end is sent however late it has become.
	if wakeNS < p.endNS || l.nowNS < p.endNS {
		return min(wakeNS, p.endNS), false
	}
	if p.settled() || l.nowNS >= p.drainNS {
		p.finish(l)
		return 0, true
	}
	return p.drainNS, false
}

// settled says that every push has its result and every message arrived that will.
func (p *pushing) settled() bool {
	for _, streams := range p.streams {
		for _, s := range streams {
			if !s.failed && s.awaited() > 0 {
				return false
			}
		}
	}
	return p.outstanding <= 0
}

// stop ends the sending now; what is under way still has its time.
func (p *pushing) stop(l *loop, why string) {
	p.why = why
	p.endNS = min(p.endNS, l.nowNS)
	p.drainNS = min(p.drainNS, l.nowNS+int64(p.spec.Timeout))
}

func (p *pushing) settle(l *loop) { p.stop(l, p.why) }

// sendDue pushes what is due and returns when the next is.
func (p *pushing) sendDue(l *loop) int64 {
	for range l.plan.Config.TurnItemsMax {
		intendedNS := p.schedule.At(p.begun)
		now := l.clock.Now()
		if intendedNS > now || intendedNS >= p.endNS {
			return intendedNS
		}
		p.begun++
		l.begunAt(intendedNS, now)
		p.send(l, intendedNS, now)
		p.drainNS = max(p.drainNS, now+int64(p.spec.Timeout))
	}
	return p.schedule.At(p.begun)
}

// fill pushes until the window is full again.
func (p *pushing) fill(l *loop) {
	room := p.window
	if p.spec.TTL > 0 { // results come before the messages do, and it is those that must not pile up
		room -= int(p.outstanding)
	} else {
		room -= p.awaited()
	}
	for ; room > 0; room-- {
		now := l.clock.Now()
		if !p.send(l, now, now) {
			return
		}
	}
}

// awaited is how many results are still to come.
func (p *pushing) awaited() (n int) {
	for _, streams := range p.streams {
		for _, s := range streams {
			n += s.awaited()
		}
	}
	return n
}

// send pushes one message to the next device; false: nobody and nothing could take it.
func (p *pushing) send(l *loop, intendedNS, nowNS int64) bool {
	c := p.pick(l)
	if c == nil {
		return false
	}
	p.line = append(p.line[:0], `{"to":{"account":"`...)
	p.line = l.target.AppendAccount(p.line, c.index)
	p.line = append(p.line, `","device":"`...)
	p.line = l.target.AppendDevice(p.line, c.index)
	p.line = append(p.line, `"},"payload":`...)
	p.line = stamp{
		kind: stampPush, tag: p.tag, connection: uint32(c.index), number: c.sent,
		intendedNS: intendedNS, delayUS: delayUS(nowNS - intendedNS),
	}.appendPayload(p.line, p.filler)
	p.line = append(p.line, p.tail...)
	s := p.stream(c)
	if !l.push(s, p.line, pushed{to: c.index, intendedNS: intendedNS, sentNS: nowNS}) {
		l.since.Add(tally.Unsent, 1)
		return false
	}
	c.sent++
	p.outstanding++
	l.since.Add(tally.Sent, 1)
	return true
}

// stream returns the one that a device's pushes take.
func (p *pushing) stream(c *conn) *apiStream {
	streams := p.streams[c.index%int64(len(p.streams))]
	return streams[int(c.slot)%len(streams)]
}

// pick returns the next device in turn, forgetting those that have ended.
func (p *pushing) pick(l *loop) *conn {
	for len(p.connections) > 0 && len(p.streams) > 0 {
		if p.next >= len(p.connections) {
			p.next = 0
		}
		if c := l.slots.live(p.connections[p.next]); c != nil {
			p.next++
			return c
		}
		last := len(p.connections) - 1
		p.connections[p.next] = p.connections[last]
		p.connections = p.connections[:last]
	}
	return nil
}

// result excuses a device that the server says did not get its message.
func (p *pushing) result(l *loop, _ *apiStream, to pushed, undelivered int64) {
	if undelivered > 0 && p.roster.excuse(l, to.to) {
		p.outstanding--
	}
}

func (p *pushing) streamEnded(l *loop, _ *apiStream, why error) {
	if p.why == "" {
		p.stop(l, why.Error())
	}
}

func (p *pushing) on(l *loop, c *conn, e event, payload []byte) {
	switch e {
	case message:
		p.received(l, c, payload)
	case ended:
		p.outstanding -= p.roster.leaves(c)
	case opened: // it came back, in a mix
		p.outstanding += p.roster.returns(c)
		p.connections = append(p.connections, c.ref())
	}
}

func (p *pushing) received(l *loop, c *conn, payload []byte) {
	m, ok := l.readMine(payload, p.filler, stampPush, p.tag)
	if !ok {
		return
	}
	if p.spec.TTL > 0 {
		l.acknowledge(c, payload)
	}
	if m.connection != uint32(c.index) || m.number >= c.sent {
		l.since.Add(tally.Corrupt, 1)
		return
	}
	if !l.arrive(c, m.number) {
		return
	}
	p.outstanding--
	now := l.clock.Now()
	if p.spec.PerSecond > 0 {
		l.since.Record(tally.Push, now-m.intendedNS)
		if l.arrivedNS != 0 {
			took := max(l.arrivedNS-m.sentNS(), 0)
			l.since.Record(tally.PushArrived, took)
			p.arrivals.record(&l.since, tally.PushWindow, took, now)
		}
	}
	l.since.Record(tally.PushClosed, now-m.sentNS())
}

// acknowledge answers a message that asks for it (PROTOCOL.md section 1), each time it
// comes: whoever repeats it has not heard of the first ack.
func (l *loop) acknowledge(c *conn, payload []byte) {
	const head, asks = `{"type":"message","id":"`, `"ack":true`
	if !bytes.HasPrefix(payload, []byte(head)) || !bytes.Contains(payload, []byte(asks)) {
		return
	}
	id, _, _ := bytes.Cut(payload[len(head):], []byte(`"`))
	l.ack = append(append(append(l.ack[:0], `{"type":"ack","ids":["`...), id...), `"]}`...)
	if l.send(c, opText, l.ack) {
		l.since.Add(tally.Acknowledged, 1)
	}
}

// finish counts what never came.
func (p *pushing) finish(l *loop) {
	l.closeStreams(p)
	p.roster.settle(l)
}

func (p *pushing) early() string { return p.why }

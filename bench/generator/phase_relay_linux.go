package generator

import (
	"bytes"
	"maps"
	"slices"

	"github.com/roostpush/roost/bench/pace"
	"github.com/roostpush/roost/bench/tally"
)

// HOT PATH

// relaying lets every device send numbered messages to the next one of its account
// (PROTOCOL.md section 1, `send`), at a rate over all devices in turn, and checks what
// the peers get and what the senders are told. The number is counted at the receiver,
// which has one sender only. After its time it waits for both.
type relaying struct {
	spec        Phase
	tag         uint8
	schedule    pace.Schedule
	pairs       []pair
	next        int
	begun       int64
	endNS       int64
	drainNS     int64
	outstanding int64 // messages not arrived
	unanswered  int64 // results not come
	filler      []byte
	frame       []byte
	window      window
	roster      roster
	why         string
}

// pair is a device and the next one of its account, by number.
type pair struct{ from, to int64 }

func newRelaying(l *loop, spec Phase, atNS int64) *relaying {
	p := &relaying{
		spec: spec, tag: l.tag(), filler: newStampFiller(spec.PayloadBytes), roster: newRoster(l, l.mine(spec)),
		schedule: pace.Schedule{StartNS: atNS, PerSecond: spec.PerSecond, Stride: l.shares, Offset: l.id},
		endNS:    atNS + int64(spec.Duration),
	}
	p.drainNS = p.endNS + int64(spec.Timeout)
	for _, index := range slices.Sorted(maps.Keys(p.roster.refs)) {
		peer := p.peer(index, 1)
		if _, there := p.roster.refs[peer]; there && peer != index {
			p.pairs = append(p.pairs, pair{index, peer})
		}
	}
	l.stampArrivals(slices.Collect(maps.Values(p.roster.refs)))
	if len(p.pairs) == 0 && len(p.roster.refs) > 0 {
		p.stop(l, "no device has a peer in its account")
	}
	return p
}

// peer returns the device that a device sends to, distance 1, or the one that sends to
// it, distance -1.
func (p *relaying) peer(index, distance int64) int64 {
	at := index % p.spec.Group
	return index - at + (at+distance+p.spec.Group)%p.spec.Group
}

func (p *relaying) turn(l *loop) (wakeNS int64, done bool) {
	switch {
	case l.stopping && p.why == "":
		p.stop(l, whyStopped)
	case l.connected == 0 && p.why == "" && l.nowNS < p.endNS:
		p.stop(l, WhyAllEnded)
	}
	wakeNS = p.sendDue(l)
	switch {
	case wakeNS < p.endNS || l.nowNS < p.endNS:
		return min(wakeNS, p.endNS), false
	case (p.outstanding > 0 || p.unanswered > 0) && l.nowNS < p.drainNS:
		return p.drainNS, false
	}
	p.finish(l)
	return 0, true
}

func (p *relaying) stop(l *loop, why string) {
	p.why = why
	p.endNS = min(p.endNS, l.nowNS)
	p.drainNS = min(p.drainNS, l.nowNS+int64(p.spec.Timeout))
}

func (p *relaying) settle(l *loop) { p.stop(l, p.why) }

// sendDue sends what is due and returns when the next is.
func (p *relaying) sendDue(l *loop) int64 {
	for range l.plan.Config.TurnItemsMax {
		intendedNS := p.schedule.At(p.begun)
		now := l.clock.Now()
		if intendedNS > now || intendedNS >= p.endNS {
			return intendedNS
		}
		p.begun++
		l.begunAt(intendedNS, now)
		if from, to := p.pick(l); from != nil {
			p.send(l, from, to, intendedNS, now)
			p.drainNS = max(p.drainNS, now+int64(p.spec.Timeout))
		}
	}
	return p.schedule.At(p.begun)
}

// pairsTried bounds the search for a pair of which both are connected.
const pairsTried = 64

// pick returns the next pair in turn.
func (p *relaying) pick(l *loop) (from, to *conn) {
	for range min(pairsTried, len(p.pairs)) {
		next := p.pairs[p.next%len(p.pairs)]
		p.next++
		if from, to = p.roster.live(l, next.from), p.roster.live(l, next.to); from != nil && to != nil {
			return from, to
		}
	}
	return nil, nil
}

// refBytes is the length of the id that a send carries: the phase's tag, the intended
// start and the delay, so that its result needs no memory of ours.
const refBytes = 2 + 16 + 8

func (p *relaying) send(l *loop, from, to *conn, intendedNS, nowNS int64) {
	s := stamp{
		kind: stampRelay, tag: p.tag, connection: uint32(from.index), number: to.sent,
		intendedNS: intendedNS, delayUS: delayUS(nowNS - intendedNS),
	}
	p.frame = append(p.frame[:0], `{"type":"send","id":"`...)
	p.frame = appendHex(p.frame, uint64(p.tag), 2)
	p.frame = appendHex(p.frame, uint64(s.intendedNS), 16)
	p.frame = appendHex(p.frame, uint64(s.delayUS), 8)
	p.frame = append(p.frame, `","to":{"device":"`...)
	p.frame = l.target.AppendDevice(p.frame, to.index)
	p.frame = append(p.frame, `"},"payload":`...)
	p.frame = s.appendPayload(p.frame, p.filler)
	p.frame = append(p.frame, '}')
	if !l.send(from, opText, p.frame) {
		l.since.Add(tally.Unsent, 1)
		return
	}
	to.sent++
	from.waits++
	p.outstanding++
	p.unanswered++
	l.since.Add(tally.Sent, 1)
}

func (p *relaying) on(l *loop, c *conn, e event, payload []byte) {
	switch {
	case e == ended:
		p.outstanding -= p.roster.leaves(c)
		p.giveUp(l, c)
	case e == opened: // it came back, in a mix
		p.outstanding += p.roster.returns(c)
	case e != message:
	case bytes.HasPrefix(payload, []byte(`{"type":"result"`)):
		p.answered(l, c, payload, []byte(`"status":"`))
	case bytes.HasPrefix(payload, []byte(`{"type":"error"`)):
		p.answered(l, c, payload, []byte(`"code":"`))
	default:
		p.received(l, c, payload)
	}
}

// giveUp forgets the results that an ended sender can no longer be told. Whether the
// node ever read those messages nobody knows, so they are not called lost.
func (p *relaying) giveUp(l *loop, c *conn) {
	for range c.waits {
		p.unanswered--
		l.since.Error("relay: the sender's connection ended")
		if p.roster.excuse(l, p.peer(c.index, 1)) {
			p.outstanding--
		}
	}
}

func (p *relaying) received(l *loop, c *conn, payload []byte) {
	m, ok := l.readMine(payload, p.filler, stampRelay, p.tag)
	if !ok {
		return
	}
	if m.connection != uint32(p.peer(c.index, -1)) || m.number >= c.sent {
		l.since.Add(tally.Corrupt, 1)
		return
	}
	if !l.arrive(c, m.number) {
		return
	}
	p.outstanding--
	now := l.clock.Now()
	l.since.Record(tally.Relay, now-m.intendedNS)
	l.since.Record(tally.RelayClosed, now-m.sentNS())
	if l.arrivedNS != 0 {
		took := max(l.arrivedNS-m.sentNS(), 0)
		l.since.Record(tally.RelayArrived, took)
		p.window.record(&l.since, tally.RelayWindow, took, now)
	}
}

// answered takes what a sender is told; word begins behind member.
func (p *relaying) answered(l *loop, c *conn, payload, member []byte) {
	_, ref, ok1 := bytes.Cut(payload, []byte(`"ref":"`))
	_, word, ok2 := bytes.Cut(payload, member)
	word, _, ok3 := bytes.Cut(word, []byte(`"`))
	if !ok1 || !ok2 || !ok3 || len(ref) < refBytes {
		l.since.Add(tally.Other, 1)
		return
	}
	tag, wrong1 := readHex(ref[:2])
	intendedNS, wrong2 := readHex(ref[2:18])
	delay, wrong3 := readHex(ref[18:26])
	if wrong1|wrong2|wrong3 != 0 || uint8(tag) != p.tag {
		l.since.Add(tally.Other, 1)
		return
	}
	now := l.clock.Now()
	p.unanswered--
	c.waits--
	l.since.Add(tally.Answered, 1)
	l.since.Record(tally.Answer, now-int64(intendedNS))
	l.since.Record(tally.AnswerClosed, now-int64(intendedNS)-int64(delay)*1000)
	// The word of a result for one device is that device's outcome, or ok with a list.
	if _, listed, ok := bytes.Cut(payload, []byte(`"outcome":"`)); ok && string(word) == "ok" {
		word, _, _ = bytes.Cut(listed, []byte(`"`))
	}
	l.since.Outcome(word, 1)
	if !delivered(word) {
		l.since.Add(tally.Undelivered, 1)
		if p.roster.excuse(l, p.peer(c.index, 1)) {
			p.outstanding--
		}
	}
}

// finish counts what never came.
func (p *relaying) finish(l *loop) {
	l.since.Add(tally.Unanswered, max(p.unanswered, 0))
	p.roster.settle(l)
}

func (p *relaying) early() string { return p.why }

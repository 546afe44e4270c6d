package generator

import (
	"slices"

	"github.com/roostpush/roost/bench/pace"
	"github.com/roostpush/roost/bench/tally"
)

// HOT PATH

// fanning gives one message at a time to the server's API for all devices, or for all
// of one account, at a rate. The first loop of the run sends, to the nodes of the API in turn; every loop knows from the
// schedule how many messages there are, and checks that each of its devices gets all.
type fanning struct {
	spec     Phase
	tag      uint8
	schedule pace.Schedule // of the messages, whichever loop looks
	messages int64
	sender   bool
	streams  []*apiStream // one to each node of the API, if this loop sends
	begun    int64
	devices  []ref
	filler   []byte
	line     []byte
	endNS    int64
	drainNS  int64
	due      int64   // deliveries that have not come
	lasts    []int64 // latency of the last arrival of each message
	arrived  []int64 // devices that got it
	why      string
}

func newFanning(l *loop, spec Phase, atNS int64) *fanning {
	p := &fanning{
		spec: spec, tag: l.tag(), filler: newStampFiller(spec.PayloadBytes), devices: l.mine(spec),
		schedule: pace.Schedule{StartNS: atNS, PerSecond: spec.PerSecond, Stride: 1},
		sender:   l.id == 0, endNS: atNS + int64(spec.Duration),
	}
	p.drainNS = p.endNS + int64(spec.Timeout)
	p.messages = p.schedule.Due(p.endNS - 1)
	p.lasts, p.arrived = make([]int64, p.messages), make([]int64, p.messages)
	p.due = p.messages * int64(len(p.devices))
	for _, r := range p.devices {
		l.slots.get(r.slot).sent = uint32(p.messages)
	}
	l.since.Add(tally.Sent, p.due)
	if p.sender {
		p.connect(l)
	}
	return p
}

func (p *fanning) connect(l *loop) {
	for _, node := range l.plan.API.Nodes {
		s, err := l.openStream(p, node, true)
		if err != nil {
			p.stop(l, err.Error())
			return
		}
		p.streams = append(p.streams, s)
	}
}

func (p *fanning) turn(l *loop) (wakeNS int64, done bool) {
	switch {
	case l.stopping && p.why == "":
		p.stop(l, whyStopped)
	case l.connected == 0 && len(p.devices) > 0 && p.why == "" && l.nowNS < p.endNS:
		p.stop(l, WhyAllEnded)
	}
	wakeNS = p.endNS
	if len(p.streams) > 0 {
		wakeNS = min(p.sendDue(l), p.endNS)
	}
	for _, s := range p.streams {
		l.flushStream(s)
	}
	switch {
	case wakeNS < p.endNS:
		return wakeNS, false
	case l.nowNS < p.endNS && (p.due > 0 || p.why == ""):
		return p.endNS, false
	case (p.due > 0 || p.unanswered()) && l.nowNS < p.drainNS:
		return p.drainNS, false
	}
	p.finish(l)
	return 0, true
}

func (p *fanning) unanswered() bool {
	return slices.ContainsFunc(p.streams, func(s *apiStream) bool { return !s.failed && s.awaited() > 0 })
}

func (p *fanning) stop(l *loop, why string) {
	p.why = why
	p.endNS = min(p.endNS, l.nowNS)
	p.drainNS = min(p.drainNS, l.nowNS+int64(p.spec.Timeout))
}

// sendDue pushes what is due and returns when the next is.
func (p *fanning) sendDue(l *loop) int64 {
	for {
		intendedNS := p.schedule.At(p.begun)
		now := l.clock.Now()
		if intendedNS > now || p.begun >= p.messages || p.why != "" {
			return intendedNS
		}
		l.begunAt(intendedNS, now)
		p.line = append(p.line[:0], `{"to":{"all":true}`...)
		if p.spec.Account {
			p.line = append(p.line[:0], `{"to":{"account":"`...)
			p.line = l.target.AppendAccount(p.line, 0)
			p.line = append(p.line, `"}`...)
		}
		p.line = append(p.line, `,"payload":`...)
		p.line = stamp{
			kind: stampFanout, tag: p.tag, number: uint32(p.begun), intendedNS: intendedNS, delayUS: delayUS(now - intendedNS),
		}.appendPayload(p.line, p.filler)
		p.line = append(p.line, lineTail(p.spec)...)
		s := p.streams[int(p.begun)%len(p.streams)]
		p.begun++
		if !l.push(s, p.line, pushed{intendedNS: intendedNS, sentNS: now}) {
			l.since.Add(tally.Unsent, 1)
		}
		p.drainNS = max(p.drainNS, now+int64(p.spec.Timeout))
	}
}

func (p *fanning) result(*loop, *apiStream, pushed, int64) {}

func (p *fanning) streamEnded(l *loop, _ *apiStream, why error) {
	if p.why == "" {
		p.stop(l, why.Error())
	}
}

func (p *fanning) on(l *loop, c *conn, e event, payload []byte) {
	switch e {
	case message:
		m, ok := l.readMine(payload, p.filler, stampFanout, p.tag)
		if !ok {
			return
		}
		if int64(m.number) >= p.messages || c.sent == 0 {
			l.since.Add(tally.Corrupt, 1)
			return
		}
		if !l.arrive(c, m.number) {
			return
		}
		p.due--
		latency := l.clock.Now() - m.intendedNS
		l.since.Record(tally.Fanout, latency)
		p.arrived[m.number]++
		p.lasts[m.number] = max(p.lasts[m.number], latency)
	case ended:
		p.due -= l.settleLost(c)
	}
}

// finish counts what never came. After a stop nobody knows how many were sent.
func (p *fanning) finish(l *loop) {
	l.closeStreams(p)
	for _, r := range p.devices {
		if c := l.slots.live(r); c != nil && p.why == "" {
			l.settleLost(c)
		}
	}
}

// found reports how long each message took to the last of this loop's devices.
func (p *fanning) found(end *PhaseEnd) {
	for i, n := range p.arrived {
		if n < int64(len(p.devices)) {
			p.lasts[i] = -1
		}
	}
	end.Lasts = p.lasts
}

func (p *fanning) early() string { return p.why }

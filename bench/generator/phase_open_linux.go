package generator

import (
	"time"

	"github.com/roostpush/roost/bench/pace"
)

// A target that refuses every attempt for refusedFor, and refusedMin of them, has
// died; to go on would measure nothing.
const (
	refusedFor = time.Second
	refusedMin = 20
)

// opening opens connections, at a rate or as fast as they complete, and keeps them
// or resets each after its hold.
type opening struct {
	spec     Phase
	schedule pace.Schedule
	share    int64 // connections of this loop
	group    int64 // of them, connections of one account
	begun    int64
	inflight int
	held     deadlines // open ones, to be reset
	keep     bool
	refused  int
	sinceNS  int64 // first of the refusals in a row
	why      string
}

func newOpening(l *loop, spec Phase, atNS int64) *opening {
	group := max(spec.Group, 1)
	groups := (spec.Connections + group - 1) / group
	return &opening{
		spec: spec, keep: spec.Kind == Open, group: group,
		share:    pace.Share(groups, l.shares, l.id) * group,
		schedule: pace.Schedule{StartNS: atNS, PerSecond: spec.PerSecond, Stride: l.shares, Offset: l.id},
	}
}

func (p *opening) turn(l *loop) (wakeNS int64, done bool) {
	if l.stopping && p.why == "" {
		p.why = whyStopped
	}
	for {
		r, due := p.held.pop(l.nowNS)
		if !due {
			break
		}
		if c := l.slots.live(r); c != nil {
			l.reset(c)
		}
	}
	wakeNS = never
	if p.why == "" {
		wakeNS = p.begin(l)
	}
	if first, ok := p.held.first(); ok {
		wakeNS = min(wakeNS, first)
	}
	resolved := p.inflight == 0 && (p.begun == p.share || p.why != "")
	return wakeNS, resolved && (p.held.len() == 0 || p.why != "")
}

// begin starts what is due and returns when the next is.
func (p *opening) begin(l *loop) int64 {
	budget := l.plan.Config.TurnItemsMax
	if p.spec.PerSecond == 0 {
		for ; budget > 0 && p.begun < p.share && p.inflight < l.plan.Config.ConnectsInflight; budget-- {
			p.start(l, l.clock.Now())
		}
		if p.begun < p.share && p.inflight < l.plan.Config.ConnectsInflight {
			return l.nowNS
		}
		return never // the next one begins when one ends
	}
	for ; budget > 0 && p.begun < p.share; budget-- {
		intendedNS := p.schedule.At(p.begun)
		now := l.clock.Now()
		if intendedNS > now {
			return intendedNS
		}
		l.begunAt(intendedNS, now)
		p.start(l, intendedNS)
	}
	if p.begun < p.share {
		return p.schedule.At(p.begun)
	}
	return never
}

func (p *opening) start(l *loop, intendedNS int64) {
	// With a group of 1 this is the item's own number.
	index := p.spec.FirstIndex + p.schedule.Item(p.begun/p.group)*p.group + p.begun%p.group
	p.begun++
	p.inflight++
	l.connect(index, intendedNS)
}

func (p *opening) on(l *loop, c *conn, e event, payload []byte) {
	switch e {
	case opened:
		p.inflight--
		p.refused = 0
		if !p.keep {
			p.held.push(c, l.clock.Now()+int64(p.spec.Hold))
		}
	case failed:
		p.inflight--
		p.countRefusal(l, string(payload))
	}
}

func (p *opening) countRefusal(l *loop, class string) {
	if class != classRefused {
		p.refused = 0
		return
	}
	if p.refused == 0 {
		p.sinceNS = l.nowNS
	}
	p.refused++
	if p.refused >= refusedMin && l.nowNS-p.sinceNS >= int64(refusedFor) {
		p.why = whyRefused
	}
}

func (p *opening) early() string { return p.why }

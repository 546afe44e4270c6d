package sim

import (
	"slices"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/deliver"
	"github.com/roostpush/roost/session/wire"
)

// The links' messages, as peer.Pool carries them: in order, on another connection than the
// log's, so that each may overtake the other; each with exactly one answer.

// flight is a message that was forwarded and not answered yet.
type flight struct {
	to    int
	rcpt  deliver.Answers
	tag   uint64
	ended bool
}

// answerGrace is how long after a message's own timeout its answer is awaited.
const answerGrace = second

// messageTimeout is that of a message that says none.
const messageTimeout = 5 * second

// flightsTidied is the number of flights from which those that ended are forgotten.
const flightsTidied = 256

// Forward takes a message to a node (deliver.Cluster).
func (n *process) Forward(node string, f *wire.Forward, rcpt deliver.Answers, tag uint64) {
	w, to := n.w, nodeNumber(node)
	w.count.forwards++
	w.checkHop(n, node, f)
	p := w.pair(n.id, to)
	if rcpt == nil {
		rcpt = unheard{}
	}
	switch {
	case !p.up:
		rcpt.Failed(tag, session.Unreachable)
		return
	case w.chance(w.weather.full):
		rcpt.Failed(tag, session.Overloaded)
		return
	}
	x := &flight{to: to, rcpt: rcpt, tag: tag}
	if n.flights = append(n.flights, x); len(n.flights)%flightsTidied == 0 {
		n.flights = slices.DeleteFunc(n.flights, func(x *flight) bool { return x.ended })
	}
	timeout := messageTimeout
	if f.TimeoutMS > 0 {
		timeout = int64(f.TimeoutMS) * ms
	}
	w.after(timeout+answerGrace, func() { n.land(x, func() { rcpt.Failed(tag, session.Timeout) }) })
	body := wire.AppendForward(nil, f)
	w.carry(n, w.nodes[to], func() { w.nodes[to].take(n, x, body) })
}

// unheard is for what needs no answer, as a cancel.
type unheard struct{}

func (unheard) Answered(uint64, *wire.Outcomes) {}
func (unheard) Failed(uint64, session.Outcome)  {}

// take delivers what a node has forwarded, and sends back what became of it.
func (n *process) take(from *process, x *flight, body []byte) {
	var f wire.Forward
	if _, err := wire.ParseForward(body, &f); err != nil {
		n.w.fail("%s cannot read what %s forwards: %v", n.name, from.name, err)
		return
	}
	if f.Ack && f.Origin.Node != "" {
		n.keeping.homes.Sent(from.name, session.ID{Origin: f.Origin, Number: f.ID})
	}
	n.router.Take(from.origin, &f, &reply{n: n, to: from, flight: x, use: n.w.pair(n.id, from.id).use}, n.steadyMS())
	spoil(body)
	n.wake()
}

// reply takes outcomes back over a link (deliver.Replier).
type reply struct {
	n, to   *process
	flight  *flight
	use     int
	replied bool
}

func (r *reply) Outcomes(o *wire.Outcomes) {
	if r.replied {
		r.n.w.fail("%s answers %s twice", r.n.name, r.to.name)
	}
	r.replied = true
	if p := r.n.w.pair(r.n.id, r.to.id); !p.up || p.use != r.use {
		return // the link that it came over is gone, and the other side knows
	}
	body := wire.AppendOutcomes(nil, o)
	r.n.w.carry(r.n, r.to, func() {
		r.to.land(r.flight, func() {
			var o wire.Outcomes
			if _, err := wire.ParseOutcomes(body, &o); err != nil {
				r.to.w.fail("%s cannot read what %s answers: %v", r.to.name, r.n.name, err)
			}
			r.flight.rcpt.Answered(r.flight.tag, &o)
			spoil(body)
		})
	})
}

// land ends a flight, unless it has ended.
func (n *process) land(x *flight, do func()) {
	if n.up && !x.ended {
		x.ended = true
		do()
		n.wake()
	}
}

// lose ends the flights to a node whose link is gone.
func (n *process) lose(peer *process) {
	for _, x := range slices.Clone(n.flights) {
		if x.to == peer.id {
			n.land(x, func() { x.rcpt.Failed(x.tag, session.Lost) })
		}
	}
}

// carry takes something from one process to another, behind what was sent before, unless
// the link breaks.
func (w *world) carry(from, to *process, arrive func()) {
	p := w.pair(from.id, to.id)
	use := p.use
	at := max(w.now+w.between(ms/2, 4*w.weather.delayMax), p.carried[direction(from.id, to.id)])
	p.carried[direction(from.id, to.id)] = at
	w.after(at-w.now, func() {
		if p.up && p.use == use && from.up && to.up {
			arrive()
		}
	})
}

// spoil overwrites what was borrowed until now.
func spoil(b []byte) {
	for i := range b {
		b[i] = 0xcc
	}
}

// HOT PATH

package deliver

import (
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// Tracer remembers where messages were; package trace's Ring is one. It is called with
// locks held: it must not block nor call back. The strings of e are borrowed.
type Tracer interface {
	Note(e session.Event)
}

// AttachTracer has the router note what it does. Call it once, before the first message;
// without it nothing is noted, and that costs a comparison.
func (r *Router) AttachTracer(t Tracer) { r.tracer = t }

// tracedDevicesMax is up to how many addressees here each leaves events of its own. Of more
// there is one with their number, so that a message to everybody does not fill the ring.
const tracedDevicesMax = 16

// step is one of the delivery's message. The caller holds mu, as of all below.
func (d *Delivery) step(s session.Step) session.Event {
	return session.Event{ID: session.ID{Origin: d.origin, Number: d.message.ID}, Step: s, Traced: d.message.Trace != "", Trace: d.message.Trace}
}

// note notes a step of the message; its device is the one that it is to, if it is to one.
func (d *Delivery) note(s session.Step) { d.noteNode(s, "") }

// noteNode is note of a step that another node has to do with.
func (d *Delivery) noteNode(s session.Step, node string) {
	if t := d.router.tracer; t != nil && !d.quiet {
		e := d.step(s)
		e.Device, e.Peer = d.to.Device, node
		t.Note(e)
	}
}

// noteBegin notes how the message came here.
func (d *Delivery) noteBegin(p *Push) {
	switch {
	case p.local:
		d.noteNode(session.StepTaken, p.link)
	case p.ack:
		d.note(session.StepAttempted)
	default:
		d.note(session.StepAccepted)
	}
}

// noteSent notes that n targets from the i-th on are handed to their connections.
func (d *Delivery) noteSent(i, n int) {
	t := d.router.tracer
	if t == nil || d.quiet {
		return
	}
	e := d.step(session.StepSent)
	if len(d.targets) > tracedDevicesMax {
		e.Devices = uint32(n)
		t.Note(e)
		return
	}
	for ; n > 0; i, n = i+1, n-1 {
		e.Device = d.targets[i].session.Device
		t.Note(e)
	}
}

// noteOutcome notes what became of a target.
func (d *Delivery) noteOutcome(i int, o session.Outcome) {
	t := d.router.tracer
	if t == nil || d.quiet || len(d.targets) > tracedDevicesMax {
		return
	}
	e := d.step(session.StepBecame)
	if e.Outcome = o; d.targets[i].session != nil {
		e.Device = d.targets[i].session.Device
	} else {
		e.Device, e.Peer = d.to.Device, d.place.Node
	}
	t.Note(e)
}

// noteAnswer notes what another node said of its devices. Their outcomes are among its own
// events.
func (d *Delivery) noteAnswer(node string, o *wire.Outcomes) {
	t := d.router.tracer
	if t == nil || d.quiet {
		return
	}
	e := d.step(session.StepAnswered)
	e.Peer, e.Devices = node, uint32(len(o.Devices))
	if len(o.Devices) == 1 {
		e.Device, e.Outcome = o.Devices[0].Device, o.Devices[0].Outcome
	}
	for _, n := range o.Counts {
		e.Devices += n
	}
	t.Note(e)
}

// noteEnd notes what became of many targets, by outcome.
func (d *Delivery) noteEnd() {
	t := d.router.tracer
	if t == nil || d.quiet || len(d.targets) <= tracedDevicesMax {
		return
	}
	var counts [session.OutcomeCount]uint32
	for i := range d.targets {
		counts[d.targets[i].outcome]++
	}
	e := d.step(session.StepBecame)
	for o, n := range counts {
		if e.Outcome, e.Devices = session.Outcome(o), n; n > 0 {
			t.Note(e)
		}
	}
}

// noteTold notes a message to one device whose outcome nobody hears: what is not refused
// is sent, and no more is known.
func (r *Router) noteTold(id session.MessageID, p *Push, o session.Outcome) {
	e := session.Event{
		ID: session.ID{Origin: r.origin, Number: id}, Step: session.StepAccepted, Traced: p.Trace != "", Trace: p.Trace, Device: p.To.Device,
	}
	r.tracer.Note(e)
	if e.Step = session.StepSent; o != session.Pending {
		e.Step, e.Outcome = session.StepBecame, o
	}
	r.tracer.Note(e)
}

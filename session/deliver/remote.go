package deliver

import (
	"strings"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// A message whose addressees are connected to other nodes, in order:
//
//	seek         one device that is not here: where does the table have it?
//	misroute     one that another node believed here: say so, it goes no further
//	forwardOne   to that node; Answered brings its outcome
//	forwardMany  of an account or everybody: one frame for each node, however many devices
//	Answered     misrouted: forget, seek once more; else the outcome is final
//
// What is not in the table yet is waited for in seeking.go.

// remote is a node that was given a message to many, and what it said.
type remote struct {
	node     string
	answered bool
	told     bool     // it was given the message
	devices  []string // those it listed; empty of one that could not be asked
	outcomes []session.Outcome
}

func (r *remote) device(i int) string { return r.devices[i] }

// remoteTag marks the tags of messages to many; what is below it numbers the remote.
const remoteTag = 1 << 31

// seek finds the one addressee, which is not connected here, or only by a session whose
// connection is gone. The caller holds mu, which may be released meanwhile.
func (d *Delivery) seek(gone *session.Session) {
	if d.local && ruleOneHop {
		d.misroute(gone)
		return
	}
	p := d.router.cluster.Locate(d.to.Account, d.to.Device)
	switch {
	case d.isNews(p):
		d.forwardOne(p)
	case (p.State == Nowhere || p.State == Unsure) && d.asked == 0:
		d.settleAbsent(p)
	case d.router.seeking.enter(d):
		d.note(session.StepSought)
	default:
		d.router.count.seekingRefused.Add(1)
		d.settleAbsent(p)
	}
}

// misroute ends a message that came over a link (DESIGN.md decision 5). Should this node's
// log have the device all the same, it has come this moment, or another one has its hash:
// then the sender's entry is right, and is not to be forgotten for this message's sake, also
// if by now a third node's is newer. The caller holds mu, which may be released meanwhile.
func (d *Delivery) misroute(gone *session.Session) {
	if d.router.cluster.Holds(d.to.Account, d.to.Device) {
		t, s := &d.targets[0], d.router.reg.Lookup(d.to.Account, d.to.Device)
		switch {
		case s == nil:
			d.collision = true
		case s == gone || t.moved: // its end is not noted yet
		case !d.awaitAcks(1):
			d.settle(0, session.Overloaded)
			return
		default:
			t.session, t.moved = s, true
			d.send(0)
			return
		}
	}
	d.settle(0, session.Misrouted)
}

// settleAbsent ends a message to a device that was not found. Where it may be connected all
// the same, saying offline could be a lie. The caller holds mu.
func (d *Delivery) settleAbsent(p Place) {
	switch p.State {
	case Unsure:
		d.router.count.unsure.Add(1)
		d.settle(0, session.Overloaded)
	case Unknown:
		d.settle(0, session.Unreachable)
	default:
		d.settle(0, session.Offline)
	}
}

// isNews says that a place is worth asking: another node, or another session than the
// one of which a node said that it does not hold it.
func (d *Delivery) isNews(p Place) bool {
	return p.State == There && (d.asked == 0 || p != d.place)
}

// isOther reports whether a session is another one than is meant, of the same version: its
// keeper sends to that one by itself.
func (d *Delivery) isOther(version, mark uint64) bool {
	return d.mark != 0 && version == d.version && mark != d.mark
}

// forwardOne takes the message to the node of its one addressee. The caller holds mu,
// which is released meanwhile.
func (d *Delivery) forwardOne(p Place) {
	if d.isOther(p.Version, session.MarkThere(p.Version, p.Author)) {
		d.settle(0, session.Offline)
		return
	}
	d.place = p
	d.router.count.forwarded.Add(1)
	d.forwardTo(p.Node, d.tag(0))
}

// forwardMany takes the message to all other nodes that may hold addressees. The caller
// holds mu, which is released meanwhile.
func (d *Delivery) forwardMany() {
	if d.local && ruleOneHop {
		return
	}
	if d.to.Topic != "" {
		d.nodes = d.router.topics.AppendNodes(d.nodes[:0], d.to.Topic)
	} else {
		d.nodes = d.router.cluster.AppendNodes(d.nodes[:0], d.to.Account)
	}
	for _, node := range d.nodes {
		d.remotes = append(d.remotes, remote{node: node})
	}
	d.forwardFrom(0)
}

// forwardFrom forwards to remotes from a number on.
func (d *Delivery) forwardFrom(first int) {
	d.open += len(d.remotes) - first
	for i := first; i < len(d.remotes); i++ {
		d.router.count.forwarded.Add(1)
		d.forwardTo(d.remotes[i].node, d.tag(remoteTag|i))
		d.remotes[i].told = true
		if d.won {
			d.cancelRemote(i)
		}
	}
}

// forwardTo gives the message to a link.
func (d *Delivery) forwardTo(node string, tag uint64) {
	r := d.router
	f := r.forwards.Get().(*wire.Forward)
	*f = wire.Forward{
		ID: d.message.ID, All: d.to.All, Topic: d.to.Topic, Account: d.to.Account, Device: d.to.Device, Except: d.to.Except,
		Kind: d.message.Kind, Wait: d.wait, Payload: d.message.Payload, From: d.message.From,
		SentMS: d.message.SentMS, TimeoutMS: d.timeoutMS,
		Origin: r.foreign(d.origin), Ack: d.message.Ack && d.wait != session.WaitAcked, First: d.first,
		Trace: d.message.Trace,
	}
	d.noteNode(session.StepForwarded, node)
	d.holds++
	d.mu.Unlock()
	r.cluster.Forward(node, f, d, tag)
	r.forwards.Put(f)
	d.mu.Lock()
	d.holds--
}

// Answered is another node's answer, or the link's in its place (Answers). One for an
// earlier use of the delivery is ignored.
func (d *Delivery) Answered(tag uint64, o *wire.Outcomes) {
	d.mu.Lock()
	if uint32(tag>>32) != d.use || d.state != running {
		d.mu.Unlock()
		return
	}
	if i := uint32(tag); i&remoteTag != 0 {
		d.answeredMany(&d.remotes[i&^remoteTag], o)
		if d.counts[session.Acked] > 0 {
			d.win()
		}
	} else {
		d.answeredOne(o)
	}
	d.unlock()
}

// Failed is the link's word when there is no answer (Answers).
func (d *Delivery) Failed(tag uint64, o session.Outcome) {
	d.Answered(tag, &wire.Outcomes{Devices: []wire.DeviceOutcome{{Outcome: o}}, Final: true})
}

// answeredOne takes the outcome of the one addressee.
func (d *Delivery) answeredOne(o *wire.Outcomes) {
	outcome := oneOutcome(o)
	if outcome == session.Misrouted && d.asked == 0 {
		d.asked++
		d.router.count.misrouted.Add(1)
		if !o.Collision {
			d.router.cluster.Forget(d.place)
			d.seek(nil)
			return
		}
		d.router.count.collisions.Add(1)
		if p := d.router.cluster.Locate(d.to.Account, d.to.Device); d.isNews(p) {
			d.forwardOne(p)
			return
		}
	}
	d.settle(0, outcome)
}

// oneOutcome is the outcome of a message to one device. An answer that has none is the
// other node's mistake, and nobody knows what became of the message.
func oneOutcome(o *wire.Outcomes) session.Outcome {
	if len(o.Devices) == 1 && o.Devices[0].Outcome != session.Pending {
		return o.Devices[0].Outcome
	}
	for outcome := session.Written; int(outcome) < session.OutcomeCount; outcome++ {
		if o.Counts[outcome] > 0 {
			return outcome
		}
	}
	return session.Lost
}

// answeredMany takes the outcomes of a node's devices.
func (d *Delivery) answeredMany(r *remote, o *wire.Outcomes) {
	if r.answered {
		return
	}
	r.answered = true
	d.open--
	d.noteAnswer(r.node, o)
	for outcome, n := range o.Counts {
		d.remoteCount(session.Outcome(outcome), int(n))
	}
	if len(o.Devices) == 0 && o.Counts == [session.OutcomeCount]uint32{} {
		d.lack()
	}
	var all strings.Builder // one string for all names
	for _, one := range o.Devices {
		all.WriteString(one.Device)
		if one.Outcome == session.Offline {
			d.lack()
		}
	}
	rest := all.String()
	for _, one := range o.Devices {
		r.devices = append(r.devices, rest[:len(one.Device)])
		r.outcomes = append(r.outcomes, d.remoteCount(one.Outcome, 1))
		rest = rest[len(one.Device):]
	}
}

// remoteCount counts n addressees of another node, which has counted them in its own
// metrics, and returns what is said of them.
func (d *Delivery) remoteCount(o session.Outcome, n int) session.Outcome {
	if o == session.Pending { // not an outcome; see oneOutcome
		o = session.Lost
	}
	d.counts[o] += n
	d.total += n
	return o
}

// expireRemotes ends waiting for nodes that have not answered, and looking for more. The
// caller holds mu.
func (d *Delivery) expireRemotes() {
	d.lacks, d.looked = false, true
	d.endLooking()
	for i := range d.remotes {
		if r := &d.remotes[i]; !r.answered {
			d.answeredMany(r, &wire.Outcomes{Devices: []wire.DeviceOutcome{{Outcome: session.Timeout}}})
		}
	}
}

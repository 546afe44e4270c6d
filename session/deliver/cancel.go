package deliver

import (
	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// A push of which the first ack is enough, in order:
//
//	win            an ack has come: whoever has none yet is cancelled, other nodes are told
//	takeCancel     there: the same, and their answer says who that was
//	sayCancelled   once nothing of it is being sent any more, those that may have got it are
//	               told that they need not show it
//
// roost.raw devices are told nothing: they get payloads only.

// Cancel tells a device, wherever it is connected, that it need not show those messages
// any more. Nobody hears whether it got there. The arguments are borrowed.
func (r *Router) Cancel(a session.Address, ids []session.ID) {
	if s := r.reg.Lookup(a.Account, a.Device); s != nil {
		r.sayCancel(s, ids)
		return
	}
	p := r.cluster.Locate(a.Account, a.Device)
	if p.State != There {
		return
	}
	for _, id := range ids {
		r.forwardCancel(p.Node, id, a.Account, a.Device)
	}
}

// sayCancel sends cancel frames to a session.
func (r *Router) sayCancel(s *session.Session, ids []session.ID) {
	if s.Permissions&session.Raw != 0 {
		return
	}
	b := r.scratch.Get().(*[]byte)
	for len(ids) > 0 {
		n := min(len(ids), wire.AckIDsMax)
		*b = wire.AppendCancel((*b)[:0], ids[:n])
		r.count.cancels.Add(1)
		op, frame := netpoll.OpText, *b
		if s.Permissions&session.SSE != 0 {
			// By its name, or a page would take it for a message.
			*b = netpoll.AppendEvent(*b, wire.ServerCancel.String(), nil, frame)
			op, frame = netpoll.OpEvent, (*b)[len(frame):]
		}
		r.sockets.Send(netpoll.ConnID(s.Conn), op, frame, nil, 0)
		ids = ids[n:]
	}
	if cap(*b) <= keptBytesMax {
		r.scratch.Put(b)
	}
}

// forwardCancel tells a node; device is empty for all of the account that it holds.
func (r *Router) forwardCancel(node string, id session.ID, account, device string) {
	f := r.forwards.Get().(*wire.Forward)
	*f = wire.Forward{ID: id.Number, Origin: r.foreign(id.Origin), Account: account, Device: device, Cancel: true}
	r.cluster.Forward(node, f, nil, 0)
	r.forwards.Put(f)
}

// foreign is the origin of an id as a link has it: zero is this node's own.
func (r *Router) foreign(o session.Origin) session.Origin {
	if o == r.origin {
		return session.Origin{}
	}
	return o
}

// takeCancel does what the node of a message asks for: it ends the waiting for acks here,
// or tells the one device.
func (r *Router) takeCancel(id session.ID, account, device string) {
	if device != "" {
		if s := r.reg.Lookup(account, device); s != nil {
			r.sayCancel(s, []session.ID{id})
		}
		return
	}
	if d := r.acks.find(ackKey{id.Origin, id.Number}); d != nil {
		d.cancelled(id)
	}
}

// cancelled is somebody's first ack on another node.
func (d *Delivery) cancelled(id session.ID) {
	d.mu.Lock()
	if d.state == running && d.message.ID == id.Number && d.origin == id.Origin {
		d.win()
	}
	d.unlock()
}

// win settles everybody who has not acked yet, if one ack is enough. The caller holds mu,
// which may be released meanwhile.
func (d *Delivery) win() {
	if !d.first || d.won {
		return
	}
	d.won, d.sent = true, d.next
	for i := range d.targets {
		d.settle(i, session.Cancelled)
	}
	d.next = len(d.targets)
	d.lacks, d.looked = false, true
	d.endLooking()
	d.holds++ // it must not settle, and be used again, while the others are told
	for i := range d.remotes {
		d.cancelRemote(i)
	}
	d.holds--
}

// cancelRemote tells a node that was given the message and has not answered. Its answer
// comes at once then, and names its devices.
func (d *Delivery) cancelRemote(i int) {
	r := &d.remotes[i]
	if !r.told || r.answered {
		return
	}
	node, id, account := r.node, session.ID{Origin: d.origin, Number: d.message.ID}, d.to.Account
	d.holds++
	d.mu.Unlock()
	d.router.forwardCancel(node, id, account, "")
	d.mu.Lock()
	d.holds--
}

// sayCancelled tells the devices that were sent to and lost. The caller holds mu; nothing
// is being sent any more, so that a cancel comes behind its message.
func (d *Delivery) sayCancelled() {
	if !d.won {
		return
	}
	id := [1]session.ID{{Origin: d.origin, Number: d.message.ID}}
	for i := range d.targets[:d.sent] {
		if t := &d.targets[i]; t.outcome == session.Cancelled && t.session != nil {
			d.router.sayCancel(t.session, id[:])
		}
	}
}

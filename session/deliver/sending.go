// HOT PATH

package deliver

import (
	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// encoded returns the message as a session with those permissions gets it. It encodes
// each form once; the bytes stay as they are while the delivery is held. The caller
// holds mu.
func (d *Delivery) encoded(p session.Permissions) (netpoll.Op, []byte) {
	if p&session.Raw != 0 {
		return opOf(d.message.Kind), d.message.Payload
	}
	if len(d.frame) == 0 {
		d.frame = wire.AppendMessage(d.frame, d.origin, &d.message)
	}
	if p&session.SSE == 0 {
		return netpoll.OpText, d.frame
	}
	if len(d.event) == 0 {
		d.event = appendEvent(d.event, d.origin, d.message.ID, d.frame)
	}
	return netpoll.OpEvent, d.event
}

// appendEvent appends a message's frame as the event of a session.SSE.
func appendEvent(dst []byte, o session.Origin, id session.MessageID, frame []byte) []byte {
	var room [session.IDBytesMax]byte
	return netpoll.AppendEvent(dst, "", o.Append(room[:0], uint64(id)), frame)
}

// tag names a send to target i in this use of the delivery.
func (d *Delivery) tag(i int) uint64 { return uint64(d.use)<<32 | uint64(i) }

// send sends to one target. The caller holds mu, which is released meanwhile.
func (d *Delivery) send(i int) {
	s := d.targets[i].session
	raw := s.Permissions&session.Raw != 0
	op, frame := d.encoded(s.Permissions)
	d.next = max(d.next, i+1)
	d.inFlight++
	d.holds++
	d.noteSent(i, 1)
	sockets, tag := d.router.sockets, d.tag(i)
	d.mu.Unlock()
	sockets.Send(netpoll.ConnID(s.Conn), op, frame, d, tag)
	if raw && d.message.Ack {
		var room [session.IDBytesMax]byte
		d.router.sendPing(s.Conn, session.ID{Origin: d.origin, Number: d.message.ID}, d.pingText(room[:0]))
	}
	d.mu.Lock()
	d.holds--
}

// pingText is what the ping behind a message to a roost.raw device carries: its
// pong, which must come after the message was read, is the ack.
func (d *Delivery) pingText(dst []byte) []byte {
	return d.origin.Append(dst, uint64(d.message.ID))
}

// pump sends to the targets that have not been sent to, as long as the budget of
// sends in flight allows; receipts and ticks call it again. The caller holds mu,
// which is released meanwhile.
func (d *Delivery) pump() {
	budget := d.router.cfg.InFlightMax
	if d.pumping || d.inFlight > budget/2 {
		return
	}
	d.pumping = true
	d.holds++
	for d.next < len(d.targets) && d.inFlight <= budget/2 {
		from, to := d.next, min(len(d.targets), d.next+budget-d.inFlight)
		raw := from >= d.raw
		for _, border := range [...]int{d.events, d.raw} {
			if from < border {
				to = min(to, border) // those of one form together
			}
		}
		d.ids = d.ids[:0]
		for _, t := range d.targets[from:to] {
			d.ids = append(d.ids, netpoll.ConnID(t.session.Conn))
		}
		op, frame := d.encoded(d.targets[from].session.Permissions)
		d.next = to
		d.inFlight += to - from
		tag := d.tag(from)
		d.noteSent(from, to-from)
		d.mu.Unlock()
		d.router.sockets.SendMany(d.ids, op, frame, d, tag)
		if raw && d.message.Ack {
			var room [session.IDBytesMax]byte
			d.router.sockets.SendMany(d.ids, netpoll.OpPing, d.pingText(room[:0]), nil, 0)
		}
		d.mu.Lock()
	}
	d.pumping = false
	d.holds--
}

// Sent is the reactor's answer to a send (netpoll.Receipt). A receipt of an earlier
// use of the delivery is ignored.
func (d *Delivery) Sent(tag uint64, res netpoll.Result) {
	d.mu.Lock()
	if uint32(tag>>32) != d.use || d.state != running {
		d.mu.Unlock()
		return
	}
	d.inFlight = max(0, d.inFlight-1)
	d.moving = true
	i := int(uint32(tag))
	switch res {
	case netpoll.ResultWritten:
		if d.wait != session.WaitAcked {
			d.settle(i, session.Written)
		}
	case netpoll.ResultCut:
		d.settle(i, session.Lost)
	case netpoll.ResultFull:
		d.settle(i, session.Overloaded)
	case netpoll.ResultGone:
		d.sendAgain(i)
	}
	if d.next < len(d.targets) {
		d.pump()
	} else if d.inFlight == 0 {
		d.fannedOut() // acks may be awaited still
	}
	d.unlock()
}

// sendAgain looks a target up once more whose connection was gone: the device may
// have replaced it by a newer one, to which nothing has been sent yet.
func (d *Delivery) sendAgain(i int) {
	t := &d.targets[i]
	if t.outcome != session.Pending {
		return
	}
	s := d.router.reg.Lookup(t.session.Account, t.session.Device)
	switch {
	case d.version != 0 && s != nil && s.Version > d.version: // its keeper sends to that one
		d.settle(i, session.Offline)
		return
	case d.to.Topic != "": // the newer connection has not subscribed, or is a subscriber of its own
		d.settle(i, session.Offline)
		return
	case !t.moved && s != nil && s != t.session:
	case d.to.Device != "": // it has left, or is being closed because it is on another node by now
		gone := t.session
		t.session = nil
		d.seek(gone)
		return
	default:
		d.settle(i, session.Offline)
		d.lack()
		return
	}
	t.session, t.moved = s, true
	d.router.count.moved.Add(1)
	d.note(session.StepMoved)
	d.send(i)
}

// acked notes that a device says it has the message. known is false when the
// message was not for that device; fresh, when nobody waits for that any more, or
// it has not been sent yet.
func (d *Delivery) acked(a session.Address, from session.Origin, id session.MessageID) (known, fresh bool) {
	d.mu.Lock()
	if d.state != running || d.message.ID != id || d.origin != from {
		d.mu.Unlock()
		return true, false
	}
	i, known := d.find(a)
	if fresh = known && i < d.next && d.targets[i].outcome == session.Pending; fresh {
		d.settle(i, session.Acked)
		d.win()
	}
	d.unlock()
	return known, fresh
}

package sim

import (
	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// device connects, moves, vanishes and comes back. The node it was on may know of it at
// once or keep a half-open connection until it is displaced or notices.
type device struct {
	w       *world
	name    session.Address
	address uint64
	account uint64
	raw     bool        // speaks roost.raw
	twins   []*device   // others whose address has the same hash
	current *connection // what the device itself believes in
	all     []*connection
	steady  int64 // online since, but for moves of a few milliseconds, a second between two
}

// shortest gap is how long a device that moves cleanly is on no node at most.
const shortestGap = 5 * ms

// act lets the device do something.
func (d *device) act() {
	c := d.current
	if c != nil && c.closed {
		return // it is about to come back
	}
	w := d.w
	if c == nil {
		d.connect(w.anyNode())
		return
	}
	choice := w.random.IntN(10)
	if w.quiet {
		choice = min(choice, 5)
	}
	switch choice {
	case 0, 1, 2: // closes, and opens elsewhere at once
		d.move(w.anyNode(), w.between(0, shortestGap))
	case 3, 4, 5: // the same node again
		d.move(c.at, w.between(0, shortestGap))
	case 6, 7: // the old node does not notice
		if c.at.up {
			w.after(w.between(5*second, 60*second), func() {
				if !w.quiet || w.weak { // of two devices with one hash the older is not displaced
					c.at.hangUp(c)
				}
			})
		}
		d.connect(w.anyNode())
	case 8: // goes
		c.at.hangUp(c)
		d.current = nil
	case 9: // vanishes
		d.current = nil
		w.after(w.between(5*second, 30*second), func() { c.at.hangUp(c) })
	}
}

func (d *device) move(to *process, gap int64) {
	c := d.current
	steady := d.steady
	if d.w.now-c.opened < second {
		steady = d.w.now // its last entry is not everywhere yet
	}
	c.at.hangUp(c)
	d.w.after(gap, func() {
		if d.current == c {
			if !to.up {
				to = d.w.anyNode()
			}
			d.connect(to)
			d.steady = steady
		}
	})
}

func (d *device) connect(to *process) {
	d.steady = d.w.now
	d.current = to.connect(d)
	d.w.count.openings++
}

// dropped is told that a node ended a connection: if it is the device's, the device comes
// back, wherever.
func (d *device) dropped(c *connection, later int64) {
	if d.current != c {
		return
	}
	d.w.after(later, func() {
		if d.current == c {
			d.connect(d.w.anyNode())
		}
	})
}

// take is given what the kernel took for a connection. The device reads it if it is
// there, and acks it mostly.
func (c *connection) take(op netpoll.Op, body []byte) {
	d, w := c.device, c.device.w
	if op == netpoll.OpPing { // behind a message to a roost.raw device: its pong is the ack
		if origin, number, ok := session.ParseID(string(body)); ok {
			d.ack(c, origin, session.MessageID(number), "")
		} else {
			w.fail("%v on %s is pinged with %q", d.name, c.at.name, body)
		}
		return
	}
	if d.raw {
		w.took(c, body, "")
		return
	}
	var f wire.ServerFrame
	err := wire.ParseServer(body, &f)
	if err == nil && f.Type == wire.ServerCancel {
		return
	}
	if err != nil || f.Type != wire.ServerMessage {
		w.fail("%v on %s gets %q: %v", d.name, c.at.name, body, err)
		return
	}
	w.took(c, f.Payload, string(f.ID))
	if origin, number, ok := session.ParseID(string(f.ID)); ok && f.Ack {
		d.ack(c, origin, session.MessageID(number), string(f.Payload))
	}
}

// ack says soon, by the same connection, that the device has the message. payload is empty
// when a ping came, which does not tell.
func (d *device) ack(c *connection, origin session.Origin, id session.MessageID, payload string) {
	w := d.w
	if w.chance(w.weather.unacked) {
		return
	}
	pause := w.between(ms, 30*ms)
	if len(w.copies(session.ID{Origin: origin, Number: id}, d.name)) > 0 && w.chance(w.weather.unacked) {
		pause = w.between(second, 10*second)
		w.mail.late++
	}
	w.after(pause, func() {
		if d.current == c && !c.closed && c.at.up {
			w.acked(d, origin, id, payload)
			if !c.at.router.Ack(c.session, origin, id) {
				c.at.keeping.homes.Acked(d.name, session.ID{Origin: origin, Number: id})
			}
			c.at.keeping.touched()
		}
	})
}

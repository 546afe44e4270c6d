package sim

import (
	"slices"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
)

// connection is a device's socket at a node and its session, from the opening until the
// node ends it.
type connection struct {
	device  *device
	at      *process
	id      netpoll.ConnID
	session *session.Session
	opened  int64
	written int64 // when the newest write ends
	closed  bool
	last    [session.PriorityCount]*letter // that it took in fair weather, by priority
}

// sockets is a node's reactor: deliver.Sockets, and what closes connections.
type sockets struct{ n *process }

// Send writes a message, a little later, if the connection is still there then.
func (s sockets) Send(id netpoll.ConnID, op netpoll.Op, payload []byte, rcpt netpoll.Receipt, tag uint64) {
	n, w := s.n, s.n.w
	settle := func(res netpoll.Result) {
		if rcpt != nil {
			rcpt.Sent(tag, res)
		}
	}
	c := n.connections[id]
	if c == nil && w.chance(500) {
		settle(netpoll.ResultGone)
		return
	}
	at := w.now + w.between(0, 2*ms)
	if c != nil {
		at = max(at, c.written)
		c.written = at
	}
	body := slices.Clone(payload)
	w.after(at-w.now, func() {
		switch {
		case !n.up:
			return
		case c == nil || c.closed && !w.chance(w.weather.torn):
			settle(netpoll.ResultGone)
		case c.closed || w.chance(w.weather.torn):
			settle(netpoll.ResultCut)
		case w.chance(w.weather.slow):
			settle(netpoll.ResultFull)
		default:
			c.take(op, body)
			settle(netpoll.ResultWritten)
		}
		n.wake()
	})
}

// SendMany writes a message to many.
func (s sockets) SendMany(ids []netpoll.ConnID, op netpoll.Op, payload []byte, rcpt netpoll.Receipt, tag uint64) {
	for i, id := range slices.Clone(ids) {
		s.Send(id, op, payload, rcpt, tag+uint64(i))
	}
}

// Close ends a connection soon; its device comes back if it still was on it.
func (s sockets) Close(id netpoll.ConnID) {
	w := s.n.w
	w.after(w.between(0, 2*ms), func() {
		if c := s.n.connections[id]; c != nil && s.n.up && !c.closed {
			s.n.hangUp(c)
			c.device.dropped(c, w.between(100*ms, 2*second))
		}
	})
}

// connect opens a session here, as the gate does: an older one of the same device is
// displaced.
func (n *process) connect(d *device) *connection {
	w := n.w
	w.connections++
	c := &connection{device: d, at: n, id: netpoll.ConnID(w.connections), session: session.New(d.name.Account, d.name.Device), opened: w.now}
	c.session.Conn = uint64(c.id)
	if d.raw {
		c.session.Permissions = session.Raw
	}
	n.connections[c.id] = c
	displaced := n.sessions.Open(c.session)
	n.keeping.homes.Opened(d.name, session.MarkHere(c.session.Version))
	n.keeping.touched()
	w.trace(d, "opened on %s, version %d", n.name, c.version())
	if displaced != nil {
		sockets{n}.Close(netpoll.ConnID(displaced.Conn))
	}
	d.all = append(slices.DeleteFunc(d.all, func(c *connection) bool { return c.closed }), c)
	return c
}

// hangUp ends a connection, whoever wants it. The registry hears of it a moment later.
func (n *process) hangUp(c *connection) {
	if !n.up || c.closed {
		return
	}
	c.closed = true
	n.w.trace(c.device, "closed on %s, version %d", n.name, c.version())
	n.w.after(n.w.between(0, ms/4), func() {
		if n.up {
			delete(n.connections, c.id)
			if n.sessions.Close(c.session) {
				n.keeping.homes.Closed(c.device.name)
				n.keeping.touched()
			}
		}
	})
}

// version is that of the connection's session in its node's log. Where another device has
// the same hash it may be that one's.
func (c *connection) version() uint64 {
	_, version := c.at.sessions.ByHash(c.device.address, c.device.account)
	return version
}

package protocol

import (
	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// Presence tells sessions which of their account's other devices come and go. It never
// blocks, and sends its events behind whatever the loop has answered before.
type Presence interface {
	// Watch begins to tell a session; false: there is no room for another.
	Watch(s *session.Session) bool
	// Unwatch ends it. It is called for every session that ends, watching or not.
	Unwatch(s *session.Session)
}

// subscribe answers a subscribe or unsubscribe frame. Of the account's devices a session
// may know whatever its token permits else: it could ask for their list as well.
func (g *Gate) subscribe(c *netpoll.Conn, s *session.Session, f *wire.DeviceFrame) {
	switch {
	case len(f.Topics) > 0:
		g.refuseFrame(c, f.Ref, wire.CodeUnsupported, "topics are not offered by this node yet")
		return
	case f.Type == wire.FrameUnsubscribe:
		g.Presence.Unwatch(s)
	case !g.Presence.Watch(s):
		g.refuseFrame(c, f.Ref, session.Overloaded.String(), "too many sessions watch presence on this node, or of this account")
		return
	}
	var scratch [256]byte
	c.Reply(netpoll.OpText, wire.AppendResult(scratch[:0], f.Ref, wire.StatusOK))
}

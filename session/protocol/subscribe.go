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

// subscribe takes a subscribe or unsubscribe frame: of topics, of presence, or of both. It
// has one answer: that of the topics, where it names any, and else ok. If presence is
// refused, so is the frame. The first events follow the answer.
// Of the account's devices a session may know whatever its token permits else: it could ask
// for their list as well.
func (g *Gate) subscribe(c *netpoll.Conn, s *session.Session, f *wire.DeviceFrame) {
	switch {
	case f.Presence && g.Presence == nil:
		g.refuseFrame(c, f.Ref, wire.CodeUnsupported, "presence is not offered by this node")
		return
	case len(f.Topics) > 0 && g.Topics == nil:
		g.refuseFrame(c, f.Ref, wire.CodeUnsupported, f.Type.String()+" to topics is not offered by this node")
		return
	case f.Presence && f.Type == wire.FrameUnsubscribe:
		g.Presence.Unwatch(s)
	case f.Presence && !g.Presence.Watch(s):
		g.refuseFrame(c, f.Ref, session.Overloaded.String(), "too many sessions watch presence on this node, or of this account")
		return
	}
	var scratch [512]byte
	answer := scratch[:0]
	switch {
	case len(f.Topics) == 0 && len(f.Ref) > 0:
		answer = wire.AppendResult(answer, f.Ref, wire.StatusOK)
	case len(f.Topics) == 0:
	case f.Type == wire.FrameSubscribe:
		answer = g.Topics.Subscribe(answer, s, f)
	default:
		answer = g.Topics.Unsubscribe(answer, s, f)
	}
	if len(answer) > 0 {
		c.Reply(netpoll.OpText, answer)
	}
}

// endSubscriptions ends what a session has asked to be told, once it is over.
func (g *Gate) endSubscriptions(s *session.Session) {
	if g.Topics != nil {
		g.Topics.Forget(s)
	}
	if g.Presence != nil {
		g.Presence.Unwatch(s)
	}
}

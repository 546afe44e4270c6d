package protocol

import (
	"errors"
	"fmt"
	"sync"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/auth"
	"github.com/roostpush/roost/session/wire"
)

// frames are reused by all loops: a frame's arrays are worth keeping, and a loop holds
// one only while it answers.
var frames = sync.Pool{New: func() any { return new(wire.DeviceFrame) }}

// Message is one message from a device. HOT PATH.
func (g *Gate) Message(c *netpoll.Conn, op netpoll.Op, payload []byte) {
	s := c.Context().(*session.Session)
	if !g.admit(c, s) {
		return
	}
	if s.Permissions&session.Raw != 0 {
		g.rawMessage(c, s, op, payload)
		return
	}
	if op != netpoll.OpText {
		c.Close(CloseType, "roost.v1 speaks text frames")
		return
	}
	f := frames.Get().(*wire.DeviceFrame)
	if err := wire.ParseDevice(payload, f); err != nil {
		g.malformed(c, f.Ref, err)
	} else {
		g.frame(c, s, f)
	}
	frames.Put(f)
}

// frame is the switch: what a device may say.
func (g *Gate) frame(c *netpoll.Conn, s *session.Session, f *wire.DeviceFrame) {
	switch f.Type {
	case wire.FrameSend:
		g.Relay.Send(s, f, g.Now().UnixMilli())
	case wire.FrameAck:
		g.ack(c, s, f)
	case wire.FramePing:
		var scratch [256]byte
		c.Reply(netpoll.OpText, wire.AppendPong(scratch[:0], f.Ref))
	case wire.FrameDevices:
		g.devices(c, s, f.Ref)
	case wire.FrameToken:
		g.renew(c, s, f)
	case wire.FrameSubscribe, wire.FrameUnsubscribe:
		g.subscribe(c, s, f)
	}
}

// admit keeps a device to its rate. One that does not listen, and goes on without ever
// falling back to the rate, is closed.
func (g *Gate) admit(c *netpoll.Conn, s *session.Session) bool {
	now, emission := g.Now().UnixNano(), g.emission()
	next, ok := conform(s.RateTAT, now, emission, emission*int64(g.cfg.MessageBurst-1))
	if ok {
		if s.RateTAT <= now {
			s.Strikes = 0
		}
		s.RateTAT = next
		return true
	}
	g.counters.rateRefused.Add(1)
	if s.Strikes++; int(s.Strikes) >= g.cfg.StrikesMax {
		g.counters.rateClosed.Add(1)
		c.Close(CloseRate, g.reconnectReason())
	} else if s.Permissions&session.Raw == 0 {
		var scratch [256]byte
		c.Reply(netpoll.OpText, wire.AppendError(scratch[:0], nil, "rate", "too many messages: this one was not looked at"))
	}
	return false
}

// emission is the time between two messages at the rate, nanoseconds.
func (g *Gate) emission() int64 { return int64(1e9) / int64(g.cfg.MessageRate) }

// rawMessage sends a roost.raw device's frame to the account's other devices.
func (g *Gate) rawMessage(c *netpoll.Conn, s *session.Session, op netpoll.Op, payload []byte) {
	if len(payload) > g.MaxPayload {
		c.Close(netpoll.CloseTooBig, "payload is above what a device may send")
		return
	}
	kind := session.Text
	if op == netpoll.OpBinary {
		kind = session.Binary
	}
	if !g.Relay.SendRaw(s, kind, payload, g.Now().UnixMilli()) {
		g.counters.framesRefused.Add(1)
	}
}

// ack passes on which messages the device has. One that nobody waits for any more, or
// that is somebody else's, is said to be unknown: the rest still counts. It is answered if it
// has an id, as every frame is.
func (g *Gate) ack(c *netpoll.Conn, s *session.Session, f *wire.DeviceFrame) {
	unknown := 0
	for _, text := range f.IDs {
		if !g.acked(s, text) {
			unknown++
		}
	}
	if unknown > 0 {
		g.counters.acksUnknown.Add(uint64(unknown))
		g.refuseFrame(c, f.Ref, "unknown_message", "an id in ids is of no message to this device whose ack is waited for")
		return
	}
	// It was asked for: a device that acks a whole mailbox must not be refused for its rate,
	// or would get the rest once more.
	s.RateTAT -= g.emission()
	if len(f.Ref) > 0 {
		var scratch [256]byte
		c.Reply(netpoll.OpText, wire.AppendResult(scratch[:0], f.Ref, wire.StatusOK))
	}
}

// acked passes on that the device has the message of that id: to whom waits for it in
// memory, else to its keeper. text is borrowed.
func (g *Gate) acked(s *session.Session, text []byte) bool {
	id, ok := session.ParseMessageID(wire.Borrow(text))
	return ok && g.ackedID(s, id)
}

func (g *Gate) ackedID(s *session.Session, id session.ID) bool {
	return g.Acks.Ack(s, id.Origin, id.Number) || g.Mail.Acked(s.Address, id)
}

// devices answers with the account's devices, from the store and so from the pool.
func (g *Gate) devices(c *netpoll.Conn, s *session.Session, ref []byte) {
	if s.Flags&session.Asking != 0 {
		g.refuseFrame(c, ref, session.Overloaded.String(), "the question before this one is not answered yet")
		return
	}
	kept, id, account := append([]byte(nil), ref...), c.ID(), s.Account
	ok := g.lookups.do(func() {
		list, err := g.Directory.Devices(account, g.cfg.DevicesMax)
		var frame []byte
		if err != nil {
			g.Log.Error("device list", "account", account, "error", err)
			frame = wire.AppendError(nil, kept, "store", "the device list cannot be read now")
		} else {
			frame = wire.AppendResultOpen(nil, kept, wire.StatusOK)
			for i := range list {
				frame = wire.AppendResultDevice(frame, &list[i])
			}
			frame = wire.AppendResultClose(frame)
		}
		g.reactor.Do(id, func(c *netpoll.Conn) {
			s.Flags &^= session.Asking
			c.Reply(netpoll.OpText, frame)
		})
	})
	if !ok {
		g.refuseFrame(c, ref, session.Overloaded.String(), "too many questions are waiting")
		return
	}
	s.Flags |= session.Asking // the task that ends it is this loop's, too
}

// renew takes a new token in band: same account and device, or an error. From then on the
// device may do what that one permits.
func (g *Gate) renew(c *netpoll.Conn, s *session.Session, f *wire.DeviceFrame) {
	if g.AuthNone {
		c.Reply(netpoll.OpText, wire.AppendResult(nil, f.Ref, wire.StatusOK))
		return
	}
	claims, done, err := g.Verifier.Quick(f.Token, g.Now())
	if done {
		g.renewed(c, s, f.Ref, &claims, err)
		return
	}
	token, ref, id := append([]byte(nil), f.Token...), append([]byte(nil), f.Ref...), c.ID()
	ok := g.tokens.do(func() {
		claims, err := g.Verifier.Verify(token, g.Now())
		g.reactor.Do(id, func(c *netpoll.Conn) { g.renewed(c, s, ref, &claims, err) })
	})
	if !ok {
		g.refuseFrame(c, f.Ref, session.Overloaded.String(), "too many tokens are being verified")
	}
}

// renewed is on the loop again.
func (g *Gate) renewed(c *netpoll.Conn, s *session.Session, ref []byte, claims *auth.Claims, err error) {
	switch {
	case err != nil:
		g.counters.unauthorized.Add(1)
		g.refuseFrame(c, ref, auth.Code(err), err.Error())
	case claims.Account != s.Account || claims.Device != "" && claims.Device != s.Device:
		g.refuseFrame(c, ref, session.Forbidden.String(), "the token is of another account or device")
	default:
		s.ExpiresMS = claims.ExpiresMS
		permitSending(s, claims)
		if g.Topics != nil {
			g.Topics.Permit(s, claims.Topics)
		}
		g.setAlarm(c, s)
		c.Reply(netpoll.OpText, wire.AppendResult(nil, ref, wire.StatusOK))
	}
}

// malformed answers a frame that could not be read.
func (g *Gate) malformed(c *netpoll.Conn, ref []byte, err error) {
	code, detail := wire.CodeJSON, err.Error()
	var e *wire.Error
	if errors.As(err, &e) {
		code, detail = e.Code, fmt.Sprintf("%s (at byte %d)", e.Detail, e.Offset)
	}
	g.refuseFrame(c, ref, code, detail)
}

// refuseFrame answers error; the connection stays.
func (g *Gate) refuseFrame(c *netpoll.Conn, ref []byte, code, detail string) {
	g.counters.framesRefused.Add(1)
	var scratch [512]byte
	c.Reply(netpoll.OpText, wire.AppendError(scratch[:0], ref, code, detail))
}

package protocol

import (
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/auth"
	"github.com/roostpush/roost/session/wire"
)

// Reactor is what the gate needs of the event loops beyond a connection in hand.
type Reactor interface {
	Close(id netpoll.ConnID, code uint16, reason string)
	Do(id netpoll.ConnID, f func(c *netpoll.Conn))
	Resume(id netpoll.ConnID)
}

// Journal hears of sessions opened and closed. It must not block; what it is given is
// borrowed.
type Journal interface {
	Opened(s *session.Session, userAgent, remote string, attrs []byte)
	Closed(s *session.Session, closedMS int64, code uint16)
}

// Pings remembers the pings behind messages to roost.raw devices; deliver's Router does.
type Pings interface {
	// Ponged appends what a pong acks: id, which is borrowed, and what came before it.
	Ponged(dst []session.ID, conn uint64, id session.ID) []session.ID
	ForgetPings(conn uint64)
}

// Acks hears which message a device has acknowledged; false: nobody waits for it.
type Acks interface {
	Ack(s *session.Session, from session.Origin, id session.MessageID) bool
}

// Mail is what waits for devices; the node's mailbox is one. No method blocks, and all
// borrow what they are given.
type Mail interface {
	// Acked notes that a device has a kept message; false: it is not kept for that device.
	Acked(a session.Address, id session.ID) bool
	// Missed is how many messages wait for a device.
	Missed(a session.Address) int
	// Opened has them follow: the device has come, with a session of that version.
	Opened(a session.Address, version uint64)
}

// Relay takes what a device sends to others.
type Relay interface {
	Send(sender *session.Session, f *wire.DeviceFrame, nowMS int64)
	SendRaw(sender *session.Session, kind session.Kind, payload []byte, nowMS int64) bool
}

// Directory lists an account's devices, connected and remembered. It may block.
type Directory interface {
	Devices(account string, limit int) ([]wire.DeviceInfo, error)
}

// Parts are what a Gate is put together from. All are needed but Log.
type Parts struct {
	Origin    session.Origin
	Registry  *session.Registry
	Verifier  *auth.Verifier
	AuthNone  bool // believe the query
	Journal   Journal
	Acks      Acks
	Pings     Pings
	Mail      Mail
	Relay     Relay
	Directory Directory
	// Refusals are the reasons why the node may not take traffic now; none: it may.
	// Called for /readyz only.
	Refusals func() []string
	Now      func() time.Time
	Log      *slog.Logger
	// PingMS and MaxPayload are what hello tells devices: milliseconds between two pings,
	// bytes of a payload they may send.
	PingMS     int64
	MaxPayload int
}

// Gate is netpoll's Handler: it lets devices in, hears them, and sees them out.
type Gate struct {
	Parts
	cfg      Config
	reactor  Reactor
	tokens   *pool // signatures
	lookups  *pool // device lists, apart: a slow disk must not keep devices out
	origins  originList
	draining atomic.Bool
	upgrades gcra
	counters counters
}

// NewGate makes a gate; Attach gives it its reactor before that serves. Close ends its
// pools.
func NewGate(cfg Config, parts Parts) *Gate {
	g := &Gate{Parts: parts, cfg: cfg, origins: newOriginList(cfg.Origins)}
	g.upgrades = newGCRA(cfg.UpgradesPerSecondMax, cfg.UpgradesBurst)
	g.tokens, g.lookups = newPool(cfg.PoolWorkers, cfg.PoolQueue), newPool(cfg.PoolWorkers, cfg.PoolQueue)
	if g.Log == nil {
		g.Log = slog.New(slog.DiscardHandler)
	}
	return g
}

// Attach gives the gate its reactor. Call it once, before the reactor serves.
func (g *Gate) Attach(r Reactor) { g.reactor = r }

// Close ends the pools and waits for their workers.
func (g *Gate) Close() {
	g.tokens.close()
	g.lookups.close()
}

// Drain makes every new upgrade be told 503. Any goroutine.
func (g *Gate) Drain() { g.draining.Store(true) }

// Draining reports whether Drain was called.
func (g *Gate) Draining() bool { return g.draining.Load() }

// Upgrade decides about a WebSocket request, cheapest question first.
func (g *Gate) Upgrade(c *netpoll.Conn, req *netpoll.Request) netpoll.Verdict {
	if string(req.Path) != "/ws" {
		return g.refuse(404, "not_found", "WebSockets are at /ws", "")
	}
	if g.draining.Load() {
		return g.refuse(503, "draining", "this node is draining, connect to another one", "Retry-After: 1\r\n")
	}
	if !g.origins.allow(req.Origin, req.Host) {
		return g.refuse(403, "origin", "this Origin may not connect: it is not among protocol.origins", "")
	}
	pending, resumed := c.Context().(*pendingToken)
	if !resumed && !g.upgrades.take(g.Now().UnixNano()) {
		return g.refuse(429, "rate", "too many upgrades, come back in a moment", "Retry-After: 1\r\n")
	}
	offer, err := readOffer(req.Protocols)
	if err != nil {
		return g.refuse(400, "subprotocol", err.Error(), "")
	}
	query, err := readQuery(req.Query)
	if err != nil {
		return g.refuse(400, "query", err.Error(), "")
	}
	token, err := pickToken(req.Authorization, offer.token, query.token)
	if err != nil {
		return g.refuse(400, "token", err.Error(), "")
	}
	var claims auth.Claims
	remote := req.Remote
	switch {
	case g.AuthNone:
		claims, err = auth.Believe(query.account, query.device)
		if err != nil {
			return g.refuse(400, "identity", err.Error()+": name both in the query, /ws?account=...&device=...", "")
		}
	case resumed:
		claims, err, remote = pending.claims, pending.err, pending.remote
		c.SetContext(nil)
	case len(token) == 0:
		return g.refuse(401, "token_missing", "a token is due: Authorization: Bearer TOKEN, ?token=TOKEN, or the subprotocol roost.token.TOKEN", "WWW-Authenticate: Bearer\r\n")
	default:
		var done bool
		if claims, done, err = g.Verifier.Quick(token, g.Now()); !done {
			return g.verifyLater(c, token, remote)
		}
	}
	if err != nil {
		g.counters.unauthorized.Add(1)
		return g.refuse(401, auth.Code(err), err.Error(), "WWW-Authenticate: Bearer error=\"invalid_token\"\r\n")
	}
	if bad := takeDevice(&claims, query); bad != nil {
		return *bad
	}
	g.open(c, req, &claims, offer, remote)
	return netpoll.Verdict{Protocol: offer.protocol}
}

// pendingToken waits, as its connection's context, for the pool.
type pendingToken struct {
	claims auth.Claims
	err    error
	remote netip.AddrPort
}

// verifyLater sends a token to the pool; the connection is asked again when the pool
// has its answer.
func (g *Gate) verifyLater(c *netpoll.Conn, token []byte, remote netip.AddrPort) netpoll.Verdict {
	p := &pendingToken{remote: remote}
	kept, id := append([]byte(nil), token...), c.ID()
	ok := g.tokens.do(func() {
		p.claims, p.err = g.Verifier.Verify(kept, g.Now())
		g.reactor.Resume(id)
	})
	if !ok {
		return g.refuse(503, "overloaded", "too many tokens are being verified", "Retry-After: 1\r\n")
	}
	c.SetContext(p)
	return netpoll.Verdict{Pending: true}
}

// open makes the session. A session that it displaces is closed with 4001; its own
// Closed then finds that it is not registered any more.
func (g *Gate) open(c *netpoll.Conn, req *netpoll.Request, claims *auth.Claims, offer offer, remote netip.AddrPort) {
	s := session.New(claims.Account, claims.Device)
	s.Conn = uint64(c.ID())
	s.OpenedMS = g.Now().UnixMilli()
	s.ExpiresMS = claims.ExpiresMS
	if claims.Send {
		s.Permissions |= session.MaySend
	}
	if offer.raw {
		s.Permissions |= session.Raw
	}
	if g.cfg.Lifetime {
		span := (g.cfg.LifetimeMax - g.cfg.LifetimeMin) / time.Second
		s.LifetimeS = uint32(g.cfg.LifetimeMin/time.Second) + uint32(rand.Int64N(int64(span)+1))
	}
	c.SetContext(s)
	displaced := g.Registry.Open(s)
	g.Journal.Opened(s, wire.Borrow(req.UserAgent), remote.String(), claims.Attrs)
	if displaced != nil {
		g.counters.displaced.Add(1)
		g.reactor.Close(netpoll.ConnID(displaced.Conn), CloseReplaced, "replaced by a newer connection of this device")
	}
}

// The close codes of PROTOCOL.md section 1 that the gate sends.
const (
	CloseType         = 1003
	ClosePolicy       = 1008
	CloseReplaced     = 4001
	CloseExpired      = 4002
	CloseLifetime     = 4003
	CloseRate         = 4006
	CloseDisconnected = 4007
)

// Open greets the device; what waits for it follows.
func (g *Gate) Open(c *netpoll.Conn) {
	s := c.Context().(*session.Session)
	g.setAlarm(c, s)
	if s.Permissions&session.Raw == 0 {
		hello := wire.Hello{
			Session: s.Number, Account: s.Account, Device: s.Device,
			PingMS: g.PingMS, MaxPayload: int64(g.MaxPayload), ExpiresMS: s.ExpiresMS,
			Missed: int64(g.Mail.Missed(s.Address)),
		}
		var scratch [512]byte
		c.Reply(netpoll.OpText, wire.AppendHello(scratch[:0], g.Parts.Origin, &hello))
	}
	g.Mail.Opened(s.Address, s.Version) // what it sends is written behind this event's replies
}

// Closed takes the session out of the registry, unless a newer one has replaced it.
func (g *Gate) Closed(c *netpoll.Conn, code uint16) {
	s, ok := c.Context().(*session.Session)
	if !ok {
		return
	}
	if s.Permissions&session.Raw != 0 {
		g.Pings.ForgetPings(s.Conn)
	}
	if g.Registry.Close(s) {
		g.Journal.Closed(s, g.Now().UnixMilli(), code)
	}
}

// setAlarm makes the loop look at the session when its token or its lifetime ends.
func (g *Gate) setAlarm(c *netpoll.Conn, s *session.Session) {
	at := int64(0)
	if s.LifetimeS != 0 {
		at = s.OpenedMS + int64(s.LifetimeS)*1000
	}
	if s.ExpiresMS != 0 && (at == 0 || s.ExpiresMS < at) {
		at = s.ExpiresMS
	}
	if at != 0 {
		c.SetAlarm(time.Duration(min(at-g.Now().UnixMilli(), 1<<40)) * time.Millisecond)
	}
}

// Alarm ends what is over: an expired token at once, a lifetime after a goaway and a
// grace.
func (g *Gate) Alarm(c *netpoll.Conn) {
	s := c.Context().(*session.Session)
	now := g.Now().UnixMilli()
	if s.ExpiresMS != 0 && now >= s.ExpiresMS {
		g.counters.expired.Add(1)
		c.Close(CloseExpired, g.reconnectReason())
		return
	}
	if s.LifetimeS == 0 || now < s.OpenedMS+int64(s.LifetimeS)*1000 {
		g.setAlarm(c, s) // the clock was set back, or the token renewed
		return
	}
	if s.Leaving {
		c.Close(CloseLifetime, g.reconnectReason())
		return
	}
	g.counters.lifetimes.Add(1)
	s.Leaving = true
	s.LifetimeS += uint32(g.cfg.LifetimeGrace / time.Second)
	if s.Permissions&session.Raw == 0 {
		c.Reply(netpoll.OpText, wire.AppendGoaway(nil, wire.GoawayLifetime, g.reconnectMS()))
	}
	g.setAlarm(c, s)
}

// reconnectMS is a random part of the longest wait.
func (g *Gate) reconnectMS() int64 {
	return 1 + rand.Int64N(max(1, g.cfg.ReconnectMax.Milliseconds()))
}

func (g *Gate) reconnectReason() string {
	return string(wire.AppendReconnect(nil, g.reconnectMS()))
}

// Pong is a roost.raw device's ack: its ping carried the message's id.
func (g *Gate) Pong(c *netpoll.Conn, payload []byte) {
	s := c.Context().(*session.Session)
	if s.Permissions&session.Raw == 0 {
		return
	}
	id, ok := session.ParseMessageID(wire.Borrow(payload))
	if !ok {
		g.counters.acksUnknown.Add(1)
		return
	}
	var room [8]session.ID
	for _, id := range g.Pings.Ponged(room[:0], s.Conn, id) {
		if !g.ackedID(s, id) {
			g.counters.acksUnknown.Add(1)
		}
	}
}

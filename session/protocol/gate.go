package protocol

import (
	"errors"
	"log/slog"
	"math/rand/v2"
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
	// Opened has them follow: the device has come, with a session of that mark.
	Opened(a session.Address, mark uint64)
}

// Relay takes what a device sends to others.
type Relay interface {
	Send(sender *session.Session, f *wire.DeviceFrame, nowMS int64)
	SendRaw(sender *session.Session, kind session.Kind, payload []byte, nowMS int64) bool
}

// Topics is what sessions have subscribed to. It must not block. What Subscribe and
// Unsubscribe append to dst is written before anything else; nothing: the answer comes
// later by itself, or none is wanted.
type Topics interface {
	Permit(s *session.Session, patterns []string)
	Forget(s *session.Session)
	Subscribe(dst []byte, s *session.Session, f *wire.DeviceFrame) []byte
	Unsubscribe(dst []byte, s *session.Session, f *wire.DeviceFrame) []byte
}

// Resume hears which message a device has that comes back with its Last-Event-ID, kept or
// not: that acknowledges every kept one that went to its stream up to it. By priority an
// older one may have gone later, so whose id is smaller says nothing. It must not block. It
// is called on the loop before the session is registered, so that what it acknowledges is
// not sent again; of s only Address and Permissions are set.
type Resume interface {
	From(s *session.Session, id session.ID)
}

// Directory lists an account's devices, connected and remembered. It may block.
type Directory interface {
	Devices(account string, limit int) ([]wire.DeviceInfo, error)
}

// Parts are what a Gate is put together from. All are needed but Log, Topics, Presence, Elsewhere
// and Resume.
type Parts struct {
	Origin    session.Origin
	Registry  *session.Registry
	Verifier  *auth.Verifier
	AuthNone  bool // believe the query
	Journal   Journal
	Acks      Acks
	Pings     Pings
	Mail      Mail
	Resume    Resume    // nil: a Last-Event-ID is checked, and says nothing
	Elsewhere Elsewhere // nil: Mail knows all that waits, always
	Relay     Relay
	Directory Directory
	Topics    Topics   // nil: there are none
	Presence  Presence // nil: it is not told
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

// Upgrade decides about a request for a WebSocket or a stream, cheapest question first.
func (g *Gate) Upgrade(c *netpoll.Conn, req *netpoll.Request) netpoll.Verdict {
	if !req.Events {
		return g.upgrade(c, req)
	}
	v := g.upgrade(c, req)
	v.Header = g.origins.header(req.Origin, req.Host)
	if v.Refuse != nil {
		v.Refuse.Header += v.Header // a page that may connect may read why it cannot
	}
	return v
}

func (g *Gate) upgrade(c *netpoll.Conn, req *netpoll.Request) netpoll.Verdict {
	if !req.Events && string(req.Path) != "/ws" {
		return g.refuse(404, "not_found", "WebSockets are at /ws", "")
	}
	if g.draining.Load() {
		return g.refuse(503, "draining", "this node is draining, connect to another one", "Retry-After: 1\r\n")
	}
	if !g.origins.allow(req.Origin, req.Host) {
		return g.refuse(403, "origin", "this Origin may not connect: it is not among protocol.origins", "")
	}
	pending, resumed := c.Context().(*pendingUpgrade)
	if !resumed && !g.upgrades.take(g.Now().UnixNano()) {
		return g.refuse(429, "rate", "too many upgrades, come back in a moment", "Retry-After: 1\r\n")
	}
	offer, err := readOffer(req)
	if err != nil {
		return g.refuse(400, "subprotocol", err.Error(), "")
	}
	query, err := readQuery(req.Query)
	if err != nil {
		return g.refuse(400, "query", err.Error(), "")
	}
	if offer.last, err = lastEvent(req, query); err != nil {
		return g.refuse(400, "last_event_id", err.Error(), "")
	}
	if query.topics != "" && req.Events {
		if offer.subscribe, err = readTopics(query.topics, offer.last); err == nil && g.Topics == nil {
			err = errors.New("topics in the query: this node has none")
		}
		if err != nil {
			return g.refuse(400, "topics", err.Error(), "")
		}
	}
	token, err := pickToken(req.Authorization, offer.token, query.token)
	if err != nil {
		return g.refuse(400, "token", err.Error(), "")
	}
	var claims auth.Claims
	remote, asked, missed := req.Remote, false, 0
	switch {
	case resumed:
		claims, err, remote, asked, missed = pending.claims, pending.err, pending.remote, pending.asked, pending.missed
		c.SetContext(nil)
		pending.release()
	case g.AuthNone:
		claims, err = auth.Believe(query.account, query.device)
		if err != nil {
			return g.refuse(400, "identity", err.Error()+": name both in the query, ?account=...&device=...", "")
		}
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
	if !asked && g.askMissed(c, &claims, offer, remote) {
		return netpoll.Verdict{Pending: true}
	}
	g.open(c, req, &claims, offer, remote, missed)
	return netpoll.Verdict{Protocol: offer.protocol}
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
	first, _ := c.Context().(*opening)
	if first == nil {
		first = &opening{session: c.Context().(*session.Session)}
	}
	s := first.session
	c.SetContext(s)
	g.setAlarm(c, s)
	hello := wire.Hello{
		Session: s.Number, Account: s.Account, Device: s.Device,
		PingMS: g.PingMS, MaxPayload: int64(g.MaxPayload), ExpiresMS: s.ExpiresMS,
		Missed: int64(g.Mail.Missed(s.Address) + first.missed),
	}
	var scratch [512]byte
	frame := wire.AppendHello(scratch[:0], g.Parts.Origin, &hello)
	if s.Permissions&session.SSE != 0 {
		// What a client waits that is cut off without a word: not all of them as long.
		c.Reply(netpoll.OpEvent, netpoll.AppendRetry(nil, g.reconnectMS()))
	}
	tell(c, s, wire.ServerHello, frame)
	if len(first.subscribe) > 0 {
		g.subscribeStream(c, s, first.subscribe)
	}
	g.Mail.Opened(s.Address, session.MarkHere(s.Version)) // what it sends is written behind this event's replies
}

// tell sends a frame of that type to a device that speaks roost.v1.
func tell(c *netpoll.Conn, s *session.Session, t wire.ServerFrameType, frame []byte) {
	switch {
	case s.Permissions&session.SSE != 0:
		c.Reply(netpoll.OpEvent, netpoll.AppendEvent(nil, t.String(), nil, frame))
	case s.Permissions&session.Raw == 0:
		c.Reply(netpoll.OpText, frame)
	}
}

// Closed takes the session out of the registry, unless a newer one has replaced it.
func (g *Gate) Closed(c *netpoll.Conn, code uint16) {
	s := begun(c)
	if s == nil {
		return
	}
	g.endSubscriptions(s)
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
// grace. A device that is not to be seen out slowly is told goaway as well, for clients that
// look at nothing else.
func (g *Gate) Alarm(c *netpoll.Conn) {
	s := c.Context().(*session.Session)
	now := g.Now().UnixMilli()
	if s.ExpiresMS != 0 && now >= s.ExpiresMS {
		g.counters.expired.Add(1)
		wait := g.reconnectMS()
		tell(c, s, wire.ServerGoaway, wire.AppendGoaway(nil, wire.GoawayExpired, wait))
		c.Close(CloseExpired, string(wire.AppendReconnect(nil, wait)))
		return
	}
	if s.LifetimeS == 0 || now < s.OpenedMS+int64(s.LifetimeS)*1000 {
		g.setAlarm(c, s) // the clock was set back, or the token renewed
		return
	}
	if s.Flags&session.Leaving != 0 {
		c.Close(CloseLifetime, g.reconnectReason())
		return
	}
	g.counters.lifetimes.Add(1)
	s.Flags |= session.Leaving
	s.LifetimeS += uint32(g.cfg.LifetimeGrace / time.Second)
	tell(c, s, wire.ServerGoaway, wire.AppendGoaway(nil, wire.GoawayLifetime, g.reconnectMS()))
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

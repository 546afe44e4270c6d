package protocol

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/auth"
	"github.com/roostpush/roost/session/wire"
)

// Elsewhere knows what waits for a device where Mail does not know it yet: on the node that
// keeps the messages of its account, where that is another one, and, soon after a start, on the
// disk. It must not block.
type Elsewhere interface {
	// AskMissed asks how many wait for the device, which is borrowed, besides those that
	// Mail's Missed says; false: none do, or it is not to be asked now. Else answer is called exactly
	// once and soon, on any goroutine, also if there is no answer, then with 0. Only then Missed is asked.
	AskMissed(a session.Address, answer func(missed int)) bool
}

// pendingUpgrade is the context of a connection while its upgrade waits: for the pool to
// verify its token, or for the home of its account to say what is missed. The gate is asked
// again then. Those that ask the home are used again: in a cluster that is most of all devices,
// and what they leave behind would count as the memory of each.
type pendingUpgrade struct {
	claims auth.Claims
	err    error
	remote netip.AddrPort
	asked  bool // the home was; missed is its answer
	missed int

	gate   *Gate // of one that asks the home
	id     netpoll.ConnID
	answer func(missed int) // its answered
}

func newPendingQuestion() any {
	p := new(pendingUpgrade)
	p.answer = p.answered
	return p
}

// answered is called by the home's answer, before the connection's loop looks at p again.
func (p *pendingUpgrade) answered(missed int) {
	p.missed = missed
	p.gate.reactor.Resume(p.id)
}

// release gives p back when its connection has gone on. One whose connection is closed
// meanwhile is left to the collector: its answer may be yet to come.
func (p *pendingUpgrade) release() {
	if p.asked {
		*p = pendingUpgrade{answer: p.answer}
		pendingQuestions.Put(p)
	}
}

var pendingQuestions = sync.Pool{New: newPendingQuestion}

// opening is the context of a connection between its upgrade and its greeting, if there is
// something to remember for that.
type opening struct {
	session   *session.Session
	missed    int    // at the home of the account
	subscribe []byte // the subscribe frame that its query stands for; empty: none
}

// verifyLater sends a token to the pool; the connection is asked again when the pool
// has its answer.
func (g *Gate) verifyLater(c *netpoll.Conn, token []byte, remote netip.AddrPort) netpoll.Verdict {
	p := &pendingUpgrade{remote: remote}
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

// askMissed asks what the device has missed; the connection is asked again when that is
// known. A device of roost.raw is not told.
func (g *Gate) askMissed(c *netpoll.Conn, claims *auth.Claims, o offer, remote netip.AddrPort) bool {
	if g.Elsewhere == nil || o.speaks&session.Raw != 0 {
		return false
	}
	p := pendingQuestions.Get().(*pendingUpgrade)
	p.claims, p.remote, p.asked, p.gate, p.id = *claims, remote, true, g, c.ID()
	asks := g.Elsewhere.AskMissed(session.Address{Account: claims.Account, Device: claims.Device}, p.answer)
	if asks {
		c.SetContext(p)
	} else {
		p.release()
	}
	return asks
}

// open makes the session. A session that it displaces is closed with 4001; its own
// Closed then finds that it is not registered any more.
func (g *Gate) open(c *netpoll.Conn, req *netpoll.Request, claims *auth.Claims, offer offer, remote netip.AddrPort, missed int) {
	s := newSession(claims)
	s.Conn = uint64(c.ID())
	s.OpenedMS = g.Now().UnixMilli()
	s.ExpiresMS = claims.ExpiresMS
	permitSending(s, claims)
	s.Permissions = offer.speaks
	if g.cfg.Lifetime {
		span := (g.cfg.LifetimeMax - g.cfg.LifetimeMin) / time.Second
		s.LifetimeS = uint32(g.cfg.LifetimeMin/time.Second) + uint32(rand.Int64N(int64(span)+1))
	}
	c.SetContext(s)
	if missed > 0 || len(offer.subscribe) > 0 {
		c.SetContext(&opening{session: s, missed: missed, subscribe: offer.subscribe})
	}
	if g.Resume != nil && offer.last != (session.ID{}) {
		g.Resume.From(s, offer.last)
	}
	displaced := g.Registry.Open(s)
	if g.Topics != nil && len(claims.Topics) > 0 {
		g.Topics.Permit(s, claims.Topics)
	}
	from := remoteTexts.Get().(*[]byte)
	*from = remote.AppendTo((*from)[:0])
	g.Journal.Opened(s, wire.Borrow(req.UserAgent), wire.Borrow(*from), claims.Attrs)
	remoteTexts.Put(from)
	if displaced != nil {
		g.endSubscriptions(displaced)
		g.counters.displaced.Add(1)
		g.reactor.Close(netpoll.ConnID(displaced.Conn), CloseReplaced, "replaced by a newer connection of this device")
	}
}

// newSession makes the session of a token's bearer, which keeps the names of the claims: one
// string. Where that holds topics as well it takes a copy without them.
func newSession(claims *auth.Claims) *session.Session {
	if len(claims.Topics) > 0 {
		return session.New(claims.Account, claims.Device)
	}
	return session.Of(session.Address{Account: claims.Account, Device: claims.Device})
}

// remoteTexts are peers' addresses for the journal, which borrows them: through its interface
// each would be garbage.
var remoteTexts = sync.Pool{New: func() any {
	text := make([]byte, 0, 64)
	return &text
}}

// permitSending notes whether a session's token lets it message the account's other devices.
func permitSending(s *session.Session, claims *auth.Claims) {
	s.Flags &^= session.MaySend
	if claims.Send {
		s.Flags |= session.MaySend
	}
}

// begun returns the session of a connection whose upgrade was answered; nil of another.
func begun(c *netpoll.Conn) *session.Session {
	switch x := c.Context().(type) {
	case *session.Session:
		return x
	case *opening:
		return x.session
	}
	return nil
}

// readTopics makes the topics of an event stream's query, separated by commas, a subscribe
// frame, with the message that was seen last as what is missed from. It has no id: only a refusal
// is told.
func readTopics(list string, last session.ID) ([]byte, error) {
	f := wire.DeviceFrame{Type: wire.FrameSubscribe}
	for topic := range strings.SplitSeq(list, ",") {
		f.Topics = append(f.Topics, []byte(topic))
	}
	if last != (session.ID{}) {
		f.Since = []byte(last.Text())
	}
	text := wire.AppendDevice(nil, &f)
	var parsed wire.DeviceFrame
	if err := wire.ParseDevice(text, &parsed); err != nil {
		return nil, fmt.Errorf("topics in the query: %w", err)
	}
	return text, nil
}

// subscribeStream subscribes an event stream to what its query has named. What it missed
// follows by itself.
func (g *Gate) subscribeStream(c *netpoll.Conn, s *session.Session, text []byte) {
	var f wire.DeviceFrame
	if err := wire.ParseDevice(text, &f); err != nil {
		panic("protocol: readTopics has parsed it: " + err.Error())
	}
	if answer := g.Topics.Subscribe(nil, s, &f); len(answer) > 0 {
		tell(c, s, wire.ServerError, answer)
	}
}

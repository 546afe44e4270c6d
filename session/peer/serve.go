package peer

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"time"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session/wire"
)

// Listen listens on the configured address and serves it until Close.
func (p *Pool) Listen() (net.Addr, error) {
	ln, err := net.Listen("tcp", p.cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("peer: %w", err)
	}
	if !p.spawn(func() { _ = p.Serve(ln) }) {
		_ = ln.Close()
		return nil, net.ErrClosed
	}
	return ln.Addr(), nil
}

// Serve takes the connections of other nodes from ln until Close, and closes it. A
// process without descriptors keeps its links and takes new ones when it can again.
func (p *Pool) Serve(ln net.Listener) error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		_ = ln.Close()
		return net.ErrClosed
	}
	p.listeners[ln] = struct{}{}
	p.work.Add(1)
	p.mu.Unlock()
	defer p.work.Done()
	for {
		c, err := ln.Accept()
		switch {
		case err == nil:
			p.take(netpoll.Direct(c))
		case p.ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		default:
			p.log.Warn("connections of other nodes are not taken for now", "error", err)
			select {
			case <-time.After(p.cfg.AcceptRetryPause):
			case <-p.ctx.Done():
			}
		}
	}
}

// take starts the hello with whoever has connected.
func (p *Pool) take(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.pending) >= p.cfg.PendingMax {
		p.count.strays.Add(1)
		_ = c.Close()
		return
	}
	_ = c.SetDeadline(time.Now().Add(p.cfg.HelloTimeout))
	p.pending[c] = struct{}{}
	p.work.Go(func() { p.greet(c) })
}

// greet reads the hello of a connection and makes it what it says.
func (p *Pool) greet(c net.Conn) {
	defer p.forget(c)
	if p.secrets != nil {
		config, err := p.secrets.server()
		if err != nil {
			p.log.Error("links cannot be encrypted", "error", err)
			_ = c.Close()
			return
		}
		c = tls.Server(c, config)
	}
	in := newInbox()
	var theirs wire.LinkHello
	if err := readHello(c, &in, &theirs); err != nil {
		p.turnAway(c, &theirs, p.strange(&in, err))
		return
	}
	if o := p.objection(&theirs, c, ""); o != nil {
		p.turnAway(c, &theirs, o)
		return
	}
	switch theirs.Channel {
	case wire.ChannelAsk:
		_ = writeHello(c, p.answer(&theirs))
		p.refuse(c, &RefusedError{Reason: wire.GoodbyeAnswered})
	case wire.ChannelControl:
		p.takeControl(c, in, &theirs)
	case wire.ChannelMessages:
		p.takeMessages(c, in, &theirs)
	}
}

// answer is this node's hello in answer to theirs.
func (p *Pool) answer(theirs *wire.LinkHello) *wire.LinkHello {
	return p.self.hello(&p.cfg, theirs.Channel, theirs.Pair)
}

// strange is the refusal of a connection whose hello could not be read.
func (p *Pool) strange(in *inbox, err error) *RefusedError {
	var o *RefusedError
	var bad *wire.Error
	var notTLS tls.RecordHeaderError
	switch {
	case errors.As(err, &o):
		return o
	case errors.As(err, &bad) && in.isTLS():
		return &RefusedError{Reason: wire.GoodbyeBadFrame, Detail: "what came is TLS, and this node does not encrypt its links: peer.tls_cert is not set"}
	case errors.As(err, &bad):
		return &RefusedError{Reason: reasonOf(err), Detail: err.Error()}
	case errors.As(err, &notTLS):
		return &RefusedError{Reason: wire.GoodbyeBadFrame, Detail: "what came is not TLS, and this node encrypts its links: peer.tls_cert is set"}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &RefusedError{Reason: wire.GoodbyeSilent, Detail: fmt.Sprintf("no hello within %v", p.cfg.HelloTimeout)}
	case errors.Is(err, io.EOF):
		return &RefusedError{Reason: wire.GoodbyeLost, Detail: "closed before the hello was whole"}
	case p.secrets != nil:
		return &RefusedError{Reason: wire.GoodbyeCertificate, Detail: err.Error()}
	}
	return &RefusedError{Reason: wire.GoodbyeLost, Detail: err.Error()}
}

// turnAway refuses a connection, or notes that it was given up by the other side.
func (p *Pool) turnAway(c net.Conn, theirs *wire.LinkHello, o *RefusedError) {
	count(&p.count.refused, o.Reason)
	p.log.Log(p.ctx, p.loudness(theirs.Node, o), "a node was not linked", "node", theirs.Node, "remote", c.RemoteAddr().String(), "reason", o.Reason.String(), "detail", o.Detail, "by_them", o.ByThem)
	if o.ByThem || o.Reason == wire.GoodbyeLost {
		_ = c.Close()
		return
	}
	p.refuse(c, o)
}

// repeatTicks is how long a refusal that has been logged is not logged again.
const repeatTicks = 600

// loudness is how loudly a refusal is logged: once a while, since whoever is refused
// comes again, and quietly when somebody only looked whether the port is open.
func (p *Pool) loudness(node string, o *RefusedError) slog.Level {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, said := p.ticks.Load(), refusal{node, o.Reason}
	old := func(_ refusal, at uint32) bool { return int32(now-at) >= repeatTicks }
	if at, known := p.said[said]; o.Reason == wire.GoodbyeLost || known && !old(said, at) {
		return slog.LevelDebug
	}
	if len(p.said) >= saidMax {
		if maps.DeleteFunc(p.said, old); len(p.said) >= saidMax {
			return slog.LevelDebug
		}
	}
	p.said[said] = now
	return slog.LevelWarn
}

// saidMax bounds how many refusals are logged in that time: strangers choose their names.
const saidMax = 64

// refusal is what makes one refusal the same as another in the log.
type refusal struct {
	node string
	why  wire.GoodbyeReason
}

// forget ends the counting of a connection among those in their hello.
func (p *Pool) forget(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.pending, c)
}

// half names a link that has its control connection only.
type half struct {
	node   string
	number uint64
}

func (pr *pair) half() half { return half{pr.origin.Node, pr.number} }

// takeControl keeps a control connection until its messages connection comes, and then
// is its reader.
func (p *Pool) takeControl(c net.Conn, in inbox, theirs *wire.LinkHello) {
	pr := p.newPair(theirs, false)
	pr.challenge = rand.Uint64()
	pr.control = newLink(pr, wire.ChannelControl, c, in, theirs)
	pr.work.Add(1)
	p.mu.Lock()
	known := p.halves[pr.half()] != nil
	if !known && !p.closed {
		p.halves[pr.half()] = pr
	}
	p.mu.Unlock()
	if known {
		p.turnAway(c, theirs, &RefusedError{Reason: wire.GoodbyeDuplicate, Detail: "that link has its control connection"})
		return
	}
	mine := p.answer(theirs)
	mine.Challenge = pr.challenge
	if err := writeHello(c, mine); err != nil {
		pr.end(wire.GoodbyeLost, err.Error(), false)
	}
	pr.control.readLink()
	if p.unpair(pr) {
		pr.mu.Lock()
		o := &RefusedError{Reason: pr.reason, Detail: pr.detail, ByThem: pr.byThem}
		pr.mu.Unlock()
		p.turnAway(c, theirs, o)
	}
}

// isHalf reports whether a pair waits for its messages connection.
func (p *Pool) isHalf(pr *pair) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.halves[pr.half()] == pr
}

// unpair takes a pair out of those that wait for their messages connection; false when
// it is not one of them.
func (p *Pool) unpair(pr *pair) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.halves[pr.half()] != pr {
		return false
	}
	delete(p.halves, pr.half())
	return true
}

// takeMessages completes the link whose control connection waits, and then is the
// reader of its messages connection.
func (p *Pool) takeMessages(c net.Conn, in inbox, theirs *wire.LinkHello) {
	p.mu.Lock()
	pr := p.halves[half{theirs.Node, theirs.Pair}]
	if pr != nil && pr.origin == theirs.Origin() && pr.challenge == theirs.Challenge {
		delete(p.halves, pr.half())
	} else {
		pr = nil
	}
	p.mu.Unlock()
	if pr == nil {
		p.turnAway(c, theirs, &RefusedError{Reason: wire.GoodbyeDuplicate, Detail: "no control connection of that link waits for one"})
		return
	}
	l := newLink(pr, wire.ChannelMessages, c, in, theirs)
	before, o := p.attach(pr, l)
	if o != nil {
		p.turnAway(c, theirs, o)
		pr.end(o.Reason, o.Detail, false)
		return
	}
	if err := writeHello(c, p.answer(theirs)); err != nil {
		pr.end(wire.GoodbyeLost, err.Error(), false)
	}
	pr.work.Add(1)
	p.work.Go(func() { pr.run(before) })
	l.readLink()
}

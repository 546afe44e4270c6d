package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// dialPair makes a link: control connection, hellos, messages connection, hellos.
// If wanted ends meanwhile there is none.
func (p *Pool) dialPair(wanted context.Context, rm *remote, addr string) (*pair, error) {
	ctx, cancel := context.WithTimeout(wanted, p.cfg.DialTimeout+p.cfg.HelloTimeout)
	defer cancel()
	number := rand.Uint64()
	control, in, theirs, err := p.dialChannel(ctx, rm.node, addr, wire.ChannelControl, number, 0)
	if err != nil {
		return nil, err
	}
	pr := p.newPair(theirs, true)
	pr.control = newLink(pr, wire.ChannelControl, control, in, theirs)
	messages, in, again, err := p.dialChannel(ctx, rm.node, addr, wire.ChannelMessages, number, theirs.Challenge)
	if err != nil {
		_ = control.Close()
		return nil, err
	}
	var o *RefusedError
	var before *pair
	if again.Origin() != theirs.Origin() {
		o = &RefusedError{Reason: wire.GoodbyeWrongNode, Detail: fmt.Sprintf("the control connection leads to epoch %d, the other to %d", theirs.Epoch, again.Epoch)}
	} else {
		before, o = p.attach(pr, newLink(pr, wire.ChannelMessages, messages, in, again))
	}
	if o != nil {
		count(&p.count.refused, o.Reason)
		_ = control.Close()
		p.refuse(messages, o)
		return nil, o
	}
	pr.work.Add(2)
	go pr.control.readLink()
	go pr.messages.readLink()
	p.work.Go(func() { pr.run(before) })
	if wanted.Err() != nil { // Drop came before attach, and found nothing to end
		pr.end(wire.GoodbyeDropped, "the node is no member any more", true)
	}
	return pr, nil
}

// dialChannel makes one connection, whose hellos have been exchanged.
func (p *Pool) dialChannel(ctx context.Context, node, addr string, channel wire.LinkChannel, number, challenge uint64) (net.Conn, inbox, *wire.LinkHello, error) {
	mine := p.self.hello(&p.cfg, channel, number)
	mine.Challenge = challenge
	c, in, theirs, err := dial(ctx, &p.cfg, p.secrets, mine, addr)
	var o *RefusedError
	if errors.As(err, &o) {
		count(&p.count.refused, o.Reason)
		return nil, in, nil, err
	}
	if err != nil {
		p.count.dialsFailed.Add(1)
		return nil, in, nil, err
	}
	if o := p.objection(theirs, c, node); o != nil {
		count(&p.count.refused, o.Reason)
		p.refuse(c, o)
		return nil, in, nil, o
	}
	return c, in, theirs, nil
}

// dial connects, says hello and reads the answer. The connection's deadline is the
// end of ctx, or the hello timeout.
func dial(ctx context.Context, cfg *Config, secrets *credentials, mine *wire.LinkHello, addr string) (c net.Conn, in inbox, theirs *wire.LinkHello, err error) {
	in = newInbox()
	d := net.Dialer{Timeout: cfg.DialTimeout, KeepAliveConfig: net.KeepAliveConfig{Enable: false}} // links have pings of their own
	socket, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, in, nil, fmt.Errorf("peer: %w", err)
	}
	socket = netpoll.Direct(socket)
	_ = socket.SetDeadline(time.Now().Add(cfg.HelloTimeout))
	stop := context.AfterFunc(ctx, func() { _ = socket.SetDeadline(time.Unix(1, 0)) })
	c = socket
	if secrets != nil {
		config, err := secrets.client()
		if err != nil {
			stop()
			_ = c.Close()
			return nil, in, nil, err
		}
		c = tls.Client(c, config)
	}
	theirs = new(wire.LinkHello)
	if err = writeHello(c, mine); err == nil {
		err = readHello(c, &in, theirs)
	}
	var o *RefusedError
	if notTLS := (tls.RecordHeaderError{}); errors.As(err, &notTLS) {
		err = fmt.Errorf("the other node does not encrypt its links: %w", err)
	}
	if err != nil && !errors.As(err, &o) {
		err = fmt.Errorf("peer: hello with %s: %w", addr, err)
	}
	if !stop() && err == nil { // its deadline is about to pass, also if the link is up by then
		err = fmt.Errorf("peer: hello with %s: %w", addr, ctx.Err())
	}
	if err == nil && theirs.Major == wire.LinkMajor && (theirs.Channel != mine.Channel || theirs.Pair != mine.Pair) {
		err = fmt.Errorf("peer: hello with %s: the answer is to another hello", addr)
	}
	if err != nil {
		_ = c.Close()
		return nil, in, nil, err
	}
	return c, in, theirs, nil
}

// Identify asks who takes connections at an address: a node that starts asks so
// whether another one with its own id is alive. It needs no pool. A node that refuses
// to answer is a *RefusedError, nobody any other error.
func Identify(ctx context.Context, cfg Config, self Identity, addr string) (session.Origin, error) {
	if err := errors.Join(cfg.Validate(), self.check()); err != nil {
		return session.Origin{}, fmt.Errorf("peer: %w", err)
	}
	secrets, err := newCredentials(cfg)
	if err != nil {
		return session.Origin{}, err
	}
	c, _, theirs, err := dial(ctx, &cfg, secrets, self.hello(&cfg, wire.ChannelAsk, rand.Uint64()), addr)
	if err != nil {
		return session.Origin{}, err
	}
	_ = c.Close()
	if o := self.stranger(theirs); o != nil {
		return session.Origin{}, o
	}
	return theirs.Origin(), nil
}

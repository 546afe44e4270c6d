package peer

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/roostpush/roost/session/wire"
)

// The hello: the dialler sends its own, the other node looks for an objection and
// answers with its own or with a goodbye that names it, and the dialler looks in turn.
// Whoever refuses says why, so that the reason is in both logs.

// hello is what the node says on a connection.
func (i Identity) hello(cfg *Config, channel wire.LinkChannel, number uint64) *wire.LinkHello {
	return &wire.LinkHello{
		Major: wire.LinkMajor, Minor: wire.LinkMinor, Channel: channel, Pair: number,
		Cluster: i.Cluster, Node: i.Node, Epoch: i.Epoch, KeyFingerprint: i.KeyFingerprint,
		FrameBytesMax: uint32(cfg.FrameBytesMax), Addr: i.Addr,
	}
}

func writeHello(c net.Conn, h *wire.LinkHello) error {
	_, err := c.Write(wire.AppendLinkFrame(nil, wire.LinkTypeHello, wire.AppendLinkHello(nil, h)))
	return err
}

// newInbox is an inbox for a hello: a stranger can make it hold no more than that.
func newInbox() inbox { return inbox{size: wire.HelloBytesMax, sizeMax: wire.HelloBytesMax} }

// readHello reads the other node's first frame. A goodbye is a *RefusedError.
func readHello(c net.Conn, in *inbox, h *wire.LinkHello) error {
	for {
		t, body, err := in.next()
		switch {
		case err != nil:
			return err
		case body == nil:
		case t == wire.LinkTypeHello:
			return wire.ParseLinkHello(body, h)
		case t == wire.LinkTypeGoodbye:
			var g wire.Goodbye
			if err := wire.ParseGoodbye(body, &g); err != nil {
				return err
			}
			return &RefusedError{Reason: g.Reason, Detail: g.Detail, ByThem: true}
		default:
			return &wire.Error{Code: wire.CodeValue, Detail: "the first frame is " + t.String() + ", not hello"}
		}
		if n, err := in.fill(c); n == 0 && err != nil {
			return err
		}
	}
}

// objection is what speaks against a link with whoever said theirs, or nil. dialed is
// the node that was dialled; empty: they dialled.
func (p *Pool) objection(theirs *wire.LinkHello, c net.Conn, dialed string) *RefusedError {
	refuse := func(why wire.GoodbyeReason, format string, args ...any) *RefusedError {
		return &RefusedError{Reason: why, Detail: fmt.Sprintf(format, args...)}
	}
	if o := p.self.stranger(theirs); o != nil {
		return o
	}
	if o := p.impostor(theirs, c); o != nil {
		return o
	}
	switch {
	case theirs.Channel == wire.ChannelAsk:
		return nil
	case theirs.Node == p.self.Node:
		return refuse(wire.GoodbyeSameNode, "%s, epoch %d, is this node; a node of epoch %d says that it is, too", p.self.Node, p.self.Epoch, theirs.Epoch)
	case dialed != "" && theirs.Node != dialed:
		return refuse(wire.GoodbyeWrongNode, "%s was dialled, %s answers", dialed, theirs.Node)
	case dialed == "" && theirs.Node > p.self.Node:
		return refuse(wire.GoodbyeWrongNode, "%s dialled %s: the node with the smaller id dials", theirs.Node, p.self.Node)
	case p.handlers.Known != nil && !p.handlers.Known(theirs.Node):
		return refuse(wire.GoodbyeUnknown, "%s is not a member that %s knows", theirs.Node, p.self.Node)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.staleLocked(theirs)
}

// stranger objects to nodes that are not of this cluster.
func (i Identity) stranger(theirs *wire.LinkHello) *RefusedError {
	switch {
	case theirs.Major != wire.LinkMajor:
		return &RefusedError{Reason: wire.GoodbyeVersion, Detail: fmt.Sprintf("%s speaks version %d.%d, the other node %d.%d", i.Node, wire.LinkMajor, wire.LinkMinor, theirs.Major, theirs.Minor)}
	case theirs.Cluster != i.Cluster:
		return &RefusedError{Reason: wire.GoodbyeCluster, Detail: fmt.Sprintf("%s is of cluster %q, %s of cluster %q", i.Node, i.Cluster, theirs.Node, theirs.Cluster)}
	case theirs.KeyFingerprint != i.KeyFingerprint:
		return &RefusedError{Reason: wire.GoodbyeKey, Detail: fmt.Sprintf("the hash_key of %s has the fingerprint %x, that of %s %x", i.Node, i.KeyFingerprint, theirs.Node, theirs.KeyFingerprint)}
	}
	return nil
}

// impostor objects to a certificate that is another node's.
func (p *Pool) impostor(theirs *wire.LinkHello, c net.Conn) *RefusedError {
	secure, ok := c.(*tls.Conn)
	if !ok || !p.cfg.TLSNames {
		return nil
	}
	for _, cert := range secure.ConnectionState().PeerCertificates[:1] {
		if err := cert.VerifyHostname(theirs.Node); err != nil {
			return &RefusedError{Reason: wire.GoodbyeCertificate, Detail: fmt.Sprintf("%s has a certificate for %v", theirs.Node, cert.DNSNames)}
		}
	}
	return nil
}

// staleLocked objects to an epoch that is over, and to a hello that was said before.
func (p *Pool) staleLocked(theirs *wire.LinkHello) *RefusedError {
	rm := (*p.remotes.Load())[theirs.Node]
	if rm == nil {
		return nil
	}
	newest := rm.epoch
	if rm.latest != nil {
		newest = max(newest, rm.latest.origin.Epoch)
		if rm.latest.number == theirs.Pair {
			return &RefusedError{Reason: wire.GoodbyeDuplicate, Detail: "that link has both its connections"}
		}
	}
	if theirs.Epoch < newest {
		return &RefusedError{Reason: wire.GoodbyeStaleEpoch, Detail: fmt.Sprintf("epoch %d of %s is over, %d is known", theirs.Epoch, theirs.Node, newest)}
	}
	return nil
}

// attach makes a pair that has both connections the node's newest; it runs once the one
// before, which is returned, is over. The caller calls run.
func (p *Pool) attach(pr *pair, messages *link) (before *pair, o *RefusedError) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if o := p.staleLocked(&wire.LinkHello{Node: pr.origin.Node, Epoch: pr.origin.Epoch, Pair: pr.number}); o != nil {
		return nil, o
	}
	rm, err := p.remoteLocked(pr.origin.Node)
	switch {
	case errors.Is(err, ErrLinksFull):
		return nil, &RefusedError{Reason: wire.GoodbyeFull, Detail: fmt.Sprintf("%d nodes are linked", p.cfg.LinksMax)}
	case err != nil:
		return nil, &RefusedError{Reason: wire.GoodbyeClosing, Detail: "the node stops"}
	}
	pr.mu.Lock()
	defer pr.mu.Unlock()
	if pr.reason != 0 {
		p.forgetLocked(rm)
		return nil, &RefusedError{Reason: pr.reason, Detail: pr.detail}
	}
	before, pr.remote, pr.messages, rm.latest = rm.latest, rm, messages, pr
	delete(p.pending, socket(pr.control.conn))
	delete(p.pending, socket(messages.conn))
	return before, nil
}

// refuse tells the other node why, and closes the connection. It takes no longer than
// the goodbye timeout.
func (p *Pool) refuse(c net.Conn, o *RefusedError) {
	_ = c.SetDeadline(time.Now().Add(p.cfg.GoodbyeTimeout))
	goodbye := goodbyeFrame(o.Reason, o.Detail)
	_, err := c.Write(goodbye)
	if secure, ok := c.(*tls.Conn); err != nil && ok {
		// The handshake failed. Who speaks no TLS can read the goodbye in the clear; to who
		// does an alert is under way, which a reset would overtake.
		c = secure.NetConn()
		_, err = c.Write(goodbye)
	}
	if err == nil {
		closeWrite(c)
		drain(c)
	}
	cut(c)
}

package peer

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// pair is one link between two nodes, from the hello of its first connection to the
// end of both. Who made it calls run once both are there; whatever ends it calls end.
type pair struct {
	pool   *Pool
	remote *remote
	origin session.Origin // the other node
	number uint64         // LinkHello.Pair

	challenge uint64 // of a link that was not dialled here: LinkHello.Challenge

	minor  uint16 // what both nodes speak at least
	dialed bool

	control, messages *link
	questions         questions
	work              sync.WaitGroup // readers and writers

	ready chan struct{} // closed once Up was said: frames may be handed on
	ended chan struct{} // closed by the first end
	done  chan struct{} // closed when nothing of it is left

	mu     sync.Mutex
	reason wire.GoodbyeReason // why it ended; 0: it has not
	detail string
	byThem bool // the other node said so
}

func (p *Pool) newPair(theirs *wire.LinkHello, dialed bool) *pair {
	pr := &pair{
		pool: p, origin: theirs.Origin(), number: theirs.Pair, minor: min(theirs.Minor, wire.LinkMinor), dialed: dialed,
		ready: make(chan struct{}), ended: make(chan struct{}), done: make(chan struct{}),
	}
	pr.questions.max = p.cfg.QuestionsMax
	return pr
}

// run is the life of a pair whose connections are both there: wait for the one before
// to be over, be up, and once something has ended it, tell everybody who waits.
func (pr *pair) run(before *pair) {
	p := pr.pool
	defer close(pr.done)
	if before != nil {
		before.end(wire.GoodbyeReplaced, "a newer link of the same node took its place", true)
		<-before.done
	}
	up := pr.keepOpen()
	if up {
		pr.remote.live.Store(pr)
		p.log.Info("linked to a node", "node", pr.origin.Node, "epoch", pr.origin.Epoch, "remote", pr.messages.conn.RemoteAddr().String(), "dialed", pr.dialed)
		p.handlers.Links.Up(pr.origin)
		pr.work.Add(2)
		go pr.control.write()
		go pr.messages.write()
		close(pr.ready)
		<-pr.ended
		pr.remote.live.CompareAndSwap(pr, nil)
	}
	pr.messages.lost()
	pr.questions.lost(p)
	if !up {
		pr.closeConns()
	}
	pr.work.Wait()
	pr.closeConns()
	p.release(pr)
	if up {
		pr.mu.Lock()
		reason, detail := pr.reason, pr.detail
		pr.mu.Unlock()
		count(&p.count.ended, reason)
		p.log.Log(p.ctx, levelOf(reason), "a link has ended", "node", pr.origin.Node, "epoch", pr.origin.Epoch, "reason", reason.String(), "detail", detail)
		p.handlers.Links.Down(pr.origin, reason)
	}
}

// levelOf is how loudly the end of a link is said.
func levelOf(why wire.GoodbyeReason) slog.Level {
	if why == wire.GoodbyeClosing || why == wire.GoodbyeReplaced || why == wire.GoodbyeDropped {
		return slog.LevelInfo
	}
	return slog.LevelWarn
}

// keepOpen takes the deadline of the hellos off both connections; false when the pair
// has ended meanwhile.
func (pr *pair) keepOpen() bool {
	for _, l := range pr.links() {
		l.mu.Lock()
		if !l.closed {
			_ = l.conn.SetDeadline(time.Time{})
			l.heard.Store(pr.pool.ticks.Load()) // it may have waited for the one before
		}
		l.mu.Unlock()
	}
	select {
	case <-pr.ended:
		return false
	default:
		return true
	}
}

// links returns its connections: one as long as it waits for the second.
func (pr *pair) links() []*link {
	links := make([]*link, 0, 2)
	for _, l := range [...]*link{pr.control, pr.messages} {
		if l != nil {
			links = append(links, l)
		}
	}
	return links
}

// end ends the pair, unless it has ended. If say is set the other node is told why,
// after what is queued.
func (pr *pair) end(why wire.GoodbyeReason, detail string, say bool) {
	pr.endBy(why, detail, false, say)
}

func (pr *pair) endBy(why wire.GoodbyeReason, detail string, byThem, say bool) {
	pr.mu.Lock()
	if pr.reason != 0 {
		pr.mu.Unlock()
		return
	}
	pr.reason, pr.detail, pr.byThem = why, detail, byThem
	links := pr.links()
	pr.mu.Unlock()
	var goodbye []byte
	if say {
		goodbye = wire.AppendGoodbye(nil, &wire.Goodbye{Reason: why, Detail: detail})
	}
	for _, l := range links {
		l.shut(goodbye)
	}
	close(pr.ended)
}

// leave ends the pair for what a reader has met: a goodbye, or a frame that breaks the
// rules. It reports whether a goodbye of this node is on its way on that connection.
func (pr *pair) leave(l *link, err error) (said bool) {
	var g *leaving
	switch {
	case errors.Is(err, errEnded):
		return true
	case errors.As(err, &g):
		pr.endBy(g.Reason, "said by the other node: "+g.Detail, true, false)
		cut(l.conn) // this node may have been saying goodbye itself
		return false
	}
	pr.end(reasonOf(err), err.Error(), true)
	return true
}

// reasonOf is the reason to give for a frame that could not be read.
func reasonOf(err error) wire.GoodbyeReason {
	var e *wire.Error
	if errors.As(err, &e) && e.Code == wire.CodeLimit {
		return wire.GoodbyeTooLarge
	}
	return wire.GoodbyeBadFrame
}

// wait returns nil once the pair is up, so that frames may be handed on. A dialler
// sends none before its messages connection is answered: by then this is no half.
func (pr *pair) wait() error {
	select {
	case <-pr.ended:
		return errEnded
	default:
	}
	select {
	case <-pr.ready:
		return nil
	default:
	}
	if pr.pool.isHalf(pr) {
		return errEarly
	}
	select {
	case <-pr.ready:
		return nil
	case <-pr.ended:
		return errEnded
	}
}

// late is wait, for a reader whose deadline has passed: a pair without its second
// connection ends.
func (pr *pair) late() bool {
	if pr.pool.isHalf(pr) {
		pr.end(wire.GoodbyeSilent, "its messages connection did not come in time", false)
	}
	return pr.wait() == nil
}

func (pr *pair) closeConns() {
	for _, l := range pr.links() {
		cut(l.conn)
	}
}

// socket returns what is below TLS, or c itself.
func socket(c net.Conn) net.Conn {
	if secure, ok := c.(*tls.Conn); ok {
		return secure.NetConn()
	}
	return c
}

// cut closes a connection without another word: the Close of TLS would write, and might
// wait for that.
func cut(c net.Conn) { _ = socket(c).Close() }

func goodbyeFrame(why wire.GoodbyeReason, detail string) []byte {
	return wire.AppendLinkFrame(nil, wire.LinkTypeGoodbye, wire.AppendGoodbye(nil, &wire.Goodbye{Reason: why, Detail: detail}))
}

// closeWrite ends one direction: the other node reads what was sent and then the end.
func closeWrite(c net.Conn) {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}

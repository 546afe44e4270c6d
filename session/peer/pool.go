// HOT PATH

package peer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// Identity is what a node says of itself in every hello. It does not change.
type Identity struct {
	Cluster        string
	Node           string
	Epoch          uint64
	KeyFingerprint [8]byte // of the cluster's hash_key
	Addr           string  // where other nodes reach this one; empty: not said
}

// Origin is the node during its epoch.
func (i Identity) Origin() session.Origin { return session.Origin{Node: i.Node, Epoch: i.Epoch} }

func (i Identity) check() error {
	err := errors.Join(wire.CheckCluster(i.Cluster), session.CheckNode(i.Node))
	if len(i.Addr) > wire.AddrBytesMax {
		err = errors.Join(err, fmt.Errorf("addr is %d bytes long, at most %d are allowed", len(i.Addr), wire.AddrBytesMax))
	}
	return err
}

// Pool holds a node's links. Any goroutine may call any method; none but Close
// blocks.
type Pool struct {
	cfg      Config
	self     Identity
	handlers Handlers
	log      *slog.Logger
	secrets  *credentials // nil: links are not encrypted

	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	work    sync.WaitGroup // every goroutine of the pool
	ticks   atomic.Uint32  // moves on every Config.Tick; never 0
	remotes atomic.Pointer[map[string]*remote]
	count   counters
	chunks  sync.Pool // of *chunk

	mu        sync.Mutex
	closed    bool
	listeners map[net.Listener]struct{}
	pending   map[net.Conn]struct{} // in their hello
	halves    map[half]*pair        // wait for their messages connection
	said      map[refusal]uint32    // logged, and the tick of that
}

// New returns a pool without links. It is over once Close has returned.
func New(cfg Config, self Identity, handlers Handlers, log *slog.Logger) (*Pool, error) {
	if err := errors.Join(cfg.Validate(), self.check()); err != nil {
		return nil, fmt.Errorf("peer: %w", err)
	}
	if handlers.Messages == nil || handlers.Log == nil || handlers.Questions == nil || handlers.Keeps == nil || handlers.Mails == nil || handlers.Links == nil {
		return nil, errors.New("peer: a handler is missing")
	}
	secrets, err := newCredentials(cfg)
	if err != nil {
		return nil, err
	}
	p := &Pool{
		cfg: cfg, self: self, handlers: handlers, log: log, secrets: secrets,
		listeners: map[net.Listener]struct{}{}, pending: map[net.Conn]struct{}{}, halves: map[half]*pair{}, said: map[refusal]uint32{},
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.ticks.Store(1)
	p.chunks.New = func() any { return &chunk{make([]byte, 0, cfg.WriteBufferBytes)} }
	p.remotes.Store(&map[string]*remote{})
	p.spawn(p.tick)
	return p, nil
}

// Send sends m to a node. It allocates nothing in steady state; m is borrowed, its Ref
// ignored. r hears what becomes of it, or may be nil if nobody wants to know. Messages
// to one node arrive in the order of the calls.
func (p *Pool) Send(node string, m *wire.Forward, r Receipt, tag uint64) {
	if o := p.send(node, m, r, tag); o != session.Pending && r != nil {
		r.Failed(tag, o)
	}
}

// forwardTraceMinor is the minor version from which on a forward may carry a traceparent.
const forwardTraceMinor = 2

func (p *Pool) send(node string, m *wire.Forward, r Receipt, tag uint64) session.Outcome {
	if !m.Valid() {
		p.count.invalid.Add(1)
		return session.Offline // nobody can be connected by such a name
	}
	pr := p.live(node)
	if pr == nil || m.Topic != "" && pr.minor < wire.LinkTypeInterest.Minor() {
		p.count.unreachable.Add(1)
		return session.Unreachable
	}
	if pr.minor < m.Minor() {
		p.count.older.Add(1)
		return session.Unreachable // by this message: the link would end if it went out
	}
	if m.Trace != "" && pr.minor < forwardTraceMinor {
		untraced := *m
		untraced.Trace = ""
		m = &untraced
	}
	timeout := p.cfg.MessageTimeout
	if m.TimeoutMS > 0 {
		timeout = time.Duration(m.TimeoutMS) * time.Millisecond
	}
	due := p.ticks.Load() + p.ticksOf(timeout+p.cfg.AnswerGrace) + 1
	return pr.messages.forward(m, r, tag, due)
}

// Control sends a control frame, whose body is encoded already so that one for many
// nodes is encoded once: keep, kept, delta, heads, log request, snapshot, interest, or what is about mail or windows of topics. The body is
// borrowed. False says that there is no link, or none that knows the type, or no room:
// then Links.Room will tell when there is.
func (p *Pool) Control(node string, t wire.LinkType, body []byte) bool {
	switch t {
	case wire.LinkTypeKeep, wire.LinkTypeKept, wire.LinkTypeDelta, wire.LinkTypeHeads, wire.LinkTypeLogRequest, wire.LinkTypeSnapshot, wire.LinkTypeInterest,
		wire.LinkTypeMail, wire.LinkTypeMailed, wire.LinkTypeMailFate, wire.LinkTypeMailAck,
		wire.LinkTypeMailMove, wire.LinkTypeMailMoved, wire.LinkTypeMailUnwatch, wire.LinkTypeMailKeys, wire.LinkTypeMailFiled, wire.LinkTypeMailSettled,
		wire.LinkTypeTopicMove, wire.LinkTypeTopicMoved:
	default:
		panic("peer: Control is not for " + t.String())
	}
	pr := p.live(node)
	if pr == nil || pr.minor < t.Minor() || !pr.control.control(t, body) {
		p.count.controlRefused.Add(1)
		return false
	}
	return true
}

// Speaks reports whether a node is linked and knows a type of control frame.
func (p *Pool) Speaks(node string, t wire.LinkType) bool {
	pr := p.live(node)
	return pr != nil && pr.minor >= t.Minor()
}

// live returns the link to a node, or nil.
func (p *Pool) live(node string) *pair {
	if rm := (*p.remotes.Load())[node]; rm != nil {
		return rm.live.Load()
	}
	return nil
}

// ticksOf is a time in ticks, rounded up.
func (p *Pool) ticksOf(d time.Duration) uint32 {
	return uint32(min((d+p.cfg.Tick-1)/p.cfg.Tick, 1<<30))
}

// spawn starts a goroutine for which Close waits; false once the pool is closed.
func (p *Pool) spawn(fn func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.work.Go(fn)
	return true
}

// Close says goodbye to every node, after what is queued, and returns when nothing of
// the pool is left. Every receipt has been told by then. A handler must not call it: it
// waits for the handlers.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	p.cancel()
	for ln := range p.listeners {
		_ = ln.Close()
	}
	for c := range p.pending {
		_ = c.Close()
	}
	var pairs []*pair
	for _, rm := range *p.remotes.Load() {
		if rm.latest != nil {
			pairs = append(pairs, rm.latest)
		}
	}
	for _, pr := range p.halves {
		pairs = append(pairs, pr)
	}
	p.mu.Unlock()
	for _, pr := range pairs {
		pr.end(wire.GoodbyeClosing, "the node stops", true)
	}
	p.work.Wait()
}

package api

import (
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/deliver"
	"github.com/roostpush/roost/session/mailbox"
	"github.com/roostpush/roost/session/wire"
)

// Pusher takes a push to its devices; deliver.Router is one. Deliver is called from
// any goroutine, must not block, borrows p until it returns and settles d later.
type Pusher interface {
	Deliver(p *deliver.Push, d *deliver.Delivery) session.MessageID
}

// Keeper keeps pushes until their devices have them, and knows what became of each;
// mailbox.Mailbox is one. Post and Unwatch are called from any goroutine and do not block;
// Post borrows p until it returns. Fates and Cancel may read a disk; found is false for an
// id of which nothing is known.
type Keeper interface {
	Post(p *mailbox.Push, w mailbox.Watcher)
	Unwatch(id session.ID, w mailbox.Watcher)
	Fates(id session.ID) (list []mailbox.Fate, found bool, err error)
	Cancel(id session.ID) (list []mailbox.Fate, found bool, err error)
}

// Presence knows who is connected, to whatever node. It is called with locks held and must
// not block.
type Presence interface {
	Online(a session.Address) (version uint64, ok bool)
}

// Records is what is remembered of devices; the store is one. Both methods are
// called from request goroutines and may read a disk.
type Records interface {
	// Device returns the record of one device; ok is false when there is none.
	Device(a session.Address) (rec session.Record, ok bool, err error)
	// Account returns up to limit records of an account's devices.
	Account(account string, limit int) ([]session.Record, error)
}

// Sockets are the node's connections; netpoll's Reactor is one. Both methods may be
// called from any goroutine.
type Sockets interface {
	Close(id netpoll.ConnID, code uint16, reason string)
	Slowest(n int) []netpoll.Slow
}

// Reason is one cause why the node should get no traffic.
type Reason struct {
	Code   string `json:"code"`   // stable: draining, full, store ...
	Detail string `json:"detail"` // a sentence for people
}

// Node is what a Server speaks for. All fields but Ready, Log and Version are needed.
type Node struct {
	Origin   session.Origin // who makes the ids
	Sessions *session.Registry
	Pusher   Pusher
	Keeper   Keeper
	Presence Presence
	Records  Records
	Sockets  Sockets
	Tracer   Tracer          // what this node remembers of messages; nil: nothing
	Traces   Traces          // and what the others do; nil: there are none
	Cluster  Cluster         // the other nodes; nil: there are none
	Ready    func() []Reason // empty: may take traffic. Any goroutine; must not block. nil: always
	Log      *slog.Logger    // nil: slog.Default
	Version  string          // of the program, for /v1/nodes
}

// Server is the internal listener's HTTP. Create it with New, give it one listener
// with Serve, end it with Shutdown; all methods may be called from any goroutine.
type Server struct {
	cfg     Config
	node    Node
	log     *slog.Logger
	routes  []*route
	tokens  tokens
	sigV4   sigV4
	origins *http.CrossOriginProtection
	memory  *memory
	metrics *counters
	slots   sync.Pool // of *slot
	frames  sync.Pool // of *wire.PushFrame
	http    *http.Server
	started time.Time
	now     func() time.Time

	requests atomic.Int64 // being served, without those of routes that are answered always
	bodies   atomic.Int64 // bytes of all bodies
	streams  atomic.Int64 // open streams

	conns    conns
	draining atomic.Bool // answers end their connections
	stopOnce sync.Once
	stopping chan struct{} // closed by Shutdown: streams end
}

// New returns a server that is not listening yet. It reads the files of tokens and
// key pairs that the configuration names.
func New(cfg Config, node Node) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if node.Sessions == nil || node.Pusher == nil || node.Keeper == nil || node.Presence == nil || node.Records == nil || node.Sockets == nil {
		return nil, errors.New("api: a Node needs Sessions, Pusher, Keeper, Presence, Records and Sockets")
	}
	ts, err := loadTokens(&cfg)
	if err != nil {
		return nil, err
	}
	keys, err := loadKeys(&cfg)
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, node: node, log: node.Log,
		routes: routes(), tokens: ts,
		origins:  http.NewCrossOriginProtection(),
		memory:   newMemory(&cfg.Push),
		now:      time.Now,
		stopping: make(chan struct{}),
		conns:    conns{newWait: newWait},
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	s.started = s.now()
	s.sigV4 = sigV4{keys: keys, skew: cfg.AWS.SkewMax, now: func() time.Time { return s.now() }}
	s.slots.New = func() any { return newSlot(s) }
	s.frames.New = func() any { return new(wire.PushFrame) }
	s.metrics = newCounters(s)
	s.http = s.newHTTP()
	return s, nil
}

// newHTTP sets every limit that net/http has. HTTP/2 is spoken without TLS as well
// (RFC 9113 section 3.3, prior knowledge): many streams over one connection.
func (s *Server) newHTTP() *http.Server {
	h := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: s.cfg.HTTP.ReadHeaderTimeout,
		ReadTimeout:       s.cfg.HTTP.ReadTimeout,
		WriteTimeout:      s.cfg.HTTP.WriteTimeout,
		IdleTimeout:       s.cfg.HTTP.IdleTimeout,
		MaxHeaderBytes:    s.cfg.HTTP.HeaderBytesMax,
		ConnState:         s.conns.changed,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		Protocols:         new(http.Protocols),
	}
	h.Protocols.SetHTTP1(true)
	h.Protocols.SetUnencryptedHTTP2(true)
	return h
}

// Handler returns the API without a listener.
func (s *Server) Handler() http.Handler { return s }

package netpoll

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Reactor is a server: loops, their listener and their connections. New makes it,
// Listen binds it, Serve runs it, Stop ends it. Send, SendMany, Close, Resume, Slowest
// and Stats may be called from any goroutine in between.
type Reactor struct {
	cfg     Config
	handler Handler
	log     *slog.Logger
	loops   []*loop
	table   *table
	trusted []netip.Prefix
	reasons closeReasons
	started time.Time
	bound   netip.AddrPort
	max     int64 // connections held at most

	connections atomic.Int64 // below the cap, all loops
	refusals    atomic.Int64 // above it
	queued      atomic.Int64 // bytes waiting in outbounds
	collected   atomic.Int64 // bytes of unfinished messages in inbounds
	pausedLoops atomic.Int64
	pauseNoted  atomic.Bool
	stopped     sync.Once
	ticked      chan struct{} // sent to by the first loop, closed once all have ended
	ended       chan struct{}
}

// closeReasons are the texts of the closes this package decides on. Those a device
// should come back from are JSON with a time to wait (PROTOCOL.md section 1).
type closeReasons struct{ tooBig, slow, idle string }

// EventLoops is how many loops a reactor with this configuration has.
func (c Config) EventLoops() int {
	if c.Loops == 0 {
		return min(runtime.GOMAXPROCS(0), loopsMax)
	}
	return c.Loops
}

// New makes a reactor. It raises the descriptor limit of the process to its hard limit
// and derives the connection cap from it. log may be nil.
func New(cfg Config, handler Handler, log *slog.Logger) (*Reactor, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("netpoll: %w", err)
	}
	cfg.Loops = cfg.EventLoops()
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	limit, err := raiseDescriptorLimit()
	if err != nil {
		return nil, err
	}
	limit = min(limit, descriptorsMax)
	r := &Reactor{cfg: cfg, handler: handler, log: log, started: time.Now(), ticked: make(chan struct{}, 1), ended: make(chan struct{})}
	r.trusted, _ = parseTrusted(cfg.ProxyTrusted)
	if r.max, err = connectionsMax(&r.cfg, limit); err != nil {
		return nil, err
	}
	r.table = newTable(limit)
	r.reasons = closeReasons{
		tooBig: fmt.Sprintf("message above %d bytes", cfg.MessageBytesMax),
		slow:   `{"reconnect_ms":5000}`,
		idle:   `{"reconnect_ms":1000}`,
	}
	for i := range cfg.Loops {
		l := newLoop(r, i)
		r.loops = append(r.loops, l)
		if err := l.open(); err != nil {
			return nil, fmt.Errorf("netpoll: loop %d: %w", i, err)
		}
	}
	return r, nil
}

// raiseDescriptorLimit raises RLIMIT_NOFILE to the hard limit and returns it.
func raiseDescriptorLimit() (int, error) {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		return 0, fmt.Errorf("netpoll: getrlimit: %w", err)
	}
	if lim.Cur < lim.Max {
		raised := lim
		raised.Cur = raised.Max
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &raised); err == nil {
			lim = raised
		}
	}
	if uint64(lim.Cur) > descriptorsMax {
		return descriptorsMax, nil
	}
	return int(lim.Cur), nil
}

// connectionsCeiling is the most connections one process is built for: four million, which
// is also what the registry above takes (session.SessionsMax).
const connectionsCeiling = 4_000_000

// connectionsMax derives the cap: descriptors less the reserve, or less if asked for.
func connectionsMax(cfg *Config, limit int) (int64, error) {
	reserve := cfg.DescriptorsReserved
	if reserve == 0 {
		reserve = min(limit/4, 1024)
	}
	room := min(limit-reserve-cfg.RefusalsMax, connectionsCeiling)
	if room < 1 {
		return 0, fmt.Errorf("netpoll: the descriptor limit is %d, of which %d are reserved (descriptors_reserved) and %d are for refusals: nothing is left for connections; raise `ulimit -n`", limit, reserve, cfg.RefusalsMax)
	}
	if cfg.MaxConnections == 0 {
		return int64(room), nil
	}
	if cfg.MaxConnections > room {
		return 0, fmt.Errorf("netpoll: max_connections is %d, but the descriptor limit of %d leaves room for %d (descriptors_reserved %d, refusals_max %d): raise `ulimit -n` or lower it", cfg.MaxConnections, limit, room, reserve, cfg.RefusalsMax)
	}
	return int64(cfg.MaxConnections), nil
}

// ConnectionsMax returns the cap that is in force.
func (r *Reactor) ConnectionsMax() int { return int(r.max) }

// Connections returns how many there are now, refusals not counted.
func (r *Reactor) Connections() int { return int(r.connections.Load()) }

// Listen binds every loop's share of the listener; addr is host:port, port 0 lets the
// kernel choose. Call it once, before Serve.
func (r *Reactor) Listen(addr string) error {
	asked, err := resolveListen(addr)
	if err != nil {
		return err
	}
	fds, bound, err := openListeners(asked, &r.cfg, len(r.loops))
	if err != nil {
		return err
	}
	r.bound = bound
	for i, l := range r.loops {
		if err := l.listen(fds[i]); err != nil {
			closeAll(fds)
			return fmt.Errorf("netpoll: loop %d: %w", i, err)
		}
	}
	return nil
}

// Addr returns the address that is listened on.
func (r *Reactor) Addr() net.Addr { return net.TCPAddrFromAddrPort(r.bound) }

// Serve runs the loops until Stop. It returns nil after Stop, and the first loop's
// error when a poller fails.
func (r *Reactor) Serve() error {
	errs := make([]error, len(r.loops))
	var wg sync.WaitGroup
	for i, l := range r.loops {
		wg.Go(func() {
			if errs[i] = l.run(); errs[i] != nil {
				go r.Stop()
			}
		})
	}
	wg.Wait()
	close(r.ticked)
	close(r.ended)
	return errors.Join(errs...)
}

// Ticked gets a value at each tick (Config.Tick) of the first loop, unless the last one was
// not taken yet, and is closed when Serve returns. It is for one reader that has something to
// do now and then: the loops wake for their tick anyway, while a timer of its own would wake
// the process once more, and Go's monitor thread each time.
func (r *Reactor) Ticked() <-chan struct{} { return r.ticked }

// StopListening closes the listener; connections stay. Any goroutine.
func (r *Reactor) StopListening() {
	var wg sync.WaitGroup
	for _, l := range r.loops {
		wg.Add(1)
		if !l.do(func() { l.stopListening(); wg.Done() }) {
			wg.Done()
		}
	}
	wg.Wait()
}

// Stop cuts every connection, ends the loops and waits for Serve to return. Handlers
// hear Closed for each, sends that wait settle as gone.
func (r *Reactor) Stop() {
	r.stopped.Do(func() {
		for _, l := range r.loops {
			l.do(func() { l.stopping = true })
		}
	})
	<-r.ended
}

func (r *Reactor) loopOf(id ConnID) *loop {
	if i := id.loop(); i < len(r.loops) && id != 0 {
		return r.loops[i]
	}
	return nil
}

// now returns the tick of this moment.
func (r *Reactor) now() uint32 { return uint32(time.Since(r.started)/r.cfg.Tick) + 1 }

// admit takes a place for a connection about to be accepted; over: above the cap, for
// a refusal. ok is false when there is no place even for that.
func (r *Reactor) admit() (over, ok bool) {
	if r.connections.Add(1) <= r.max {
		return false, true
	}
	r.connections.Add(-1)
	if r.refusals.Add(1) <= int64(r.cfg.RefusalsMax) {
		return true, true
	}
	r.refusals.Add(-1)
	return false, false
}

// left gives a place back.
func (r *Reactor) left(over bool) {
	if over {
		r.refusals.Add(-1)
	} else {
		r.connections.Add(-1)
	}
}

// notePause says once that accepting pauses, whatever number of loops do.
func (r *Reactor) notePause(err error) {
	r.pausedLoops.Add(1)
	if r.pauseNoted.Swap(true) {
		return
	}
	if err != nil {
		r.log.Warn("accepting pauses: the system has no room for another connection", "error", err, "connections", r.Connections(), "max", r.max)
	} else {
		r.log.Warn("accepting pauses: the node is full", "connections", r.Connections(), "max", r.max)
	}
}

func (r *Reactor) noteResume() {
	if r.pausedLoops.Add(-1) == 0 && r.pauseNoted.Swap(false) {
		r.log.Info("accepting resumes", "connections", r.Connections())
	}
}

// fromProxy says whether an address must speak the PROXY protocol.
func (r *Reactor) fromProxy(a netip.Addr) bool {
	for _, p := range r.trusted {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

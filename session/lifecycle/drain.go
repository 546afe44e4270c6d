package lifecycle

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// DrainConfig says how sessions are seen out.
type DrainConfig struct {
	ReadyDelay   time.Duration `yaml:"ready_delay" doc:"time between /readyz failing and the first goaway; load balancers need a probe or two to stop sending new devices, 2s is right for a probe each second"`
	Over         time.Duration `yaml:"over" doc:"time over which goaway is spread over the connections; 15s with ready_delay, grace and the last answers stays below the 30s after which Kubernetes kills by habit"`
	Grace        time.Duration `yaml:"grace" doc:"time a device has to close from its side after goaway before the node closes with 1001; 3s is a slow mobile round trip"`
	ReconnectMin time.Duration `yaml:"reconnect_min" doc:"smallest reconnect_ms told to a device; 500ms gives a load balancer time to look away"`
	ReconnectMax time.Duration `yaml:"reconnect_max" doc:"largest reconnect_ms told to a device; values are spread evenly between the two, so that devices do not come back as a herd"`
}

// DefaultDrain returns a drain that ends, with what follows it, within 30 s.
func DefaultDrain() DrainConfig {
	return DrainConfig{
		ReadyDelay: 2 * time.Second, Over: 15 * time.Second, Grace: 3 * time.Second,
		ReconnectMin: 500 * time.Millisecond, ReconnectMax: 15 * time.Second,
	}
}

// Validate reports everything that is wrong, each with the setting's name.
func (c DrainConfig) Validate() error {
	var errs []error
	for _, d := range []struct {
		name           string
		value, low, up time.Duration
	}{
		{"ready_delay", c.ReadyDelay, 0, time.Hour},
		{"over", c.Over, 0, 24 * time.Hour},
		{"grace", c.Grace, 100 * time.Millisecond, time.Hour},
		{"reconnect_min", c.ReconnectMin, 0, 24 * time.Hour},
		{"reconnect_max", c.ReconnectMax, 0, 24 * time.Hour},
	} {
		if d.value < d.low || d.value > d.up {
			errs = append(errs, fmt.Errorf("%s is %v: %v to %v are allowed", d.name, d.value, d.low, d.up))
		}
	}
	if c.ReconnectMax < c.ReconnectMin {
		errs = append(errs, fmt.Errorf("reconnect_max is %v, less than reconnect_min (%v)", c.ReconnectMax, c.ReconnectMin))
	}
	return errors.Join(errs...)
}

// Sockets is what a drain needs of the reactor.
type Sockets interface {
	Send(id netpoll.ConnID, op netpoll.Op, payload []byte, rcpt netpoll.Receipt, tag uint64)
	Close(id netpoll.ConnID, code uint16, reason string)
}

// Drain sees every session that was open when it was made out of the node. Its owner
// calls Step from one goroutine; sessions that open meanwhile are the owner's to
// prevent.
type Drain struct {
	cfg          DrainConfig
	sockets      Sockets
	all          []*session.Session
	waits        []int64 // reconnect_ms of each that was told
	told, closed int
	frame        []byte
}

// NewDrain notes who is there, in an order of its own.
func NewDrain(cfg DrainConfig, sessions *session.Registry, sockets Sockets) *Drain {
	var all []*session.Session
	for shard := range sessions.Shards() {
		all = sessions.AppendAll(all, shard)
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return &Drain{cfg: cfg, sockets: sockets, all: all, waits: make([]int64, len(all))}
}

// Step does what is due when elapsed has passed since the drain began: sessions are told
// to go, spread evenly over cfg.Over and each with a reconnect_ms of its own, and closed
// with 1001 when cfg.Grace has passed since. It reports whether all are closed.
func (d *Drain) Step(elapsed time.Duration) (done bool) {
	d.tellUpTo(share(elapsed, d.cfg.Over, len(d.all)))
	d.closeUpTo(share(elapsed-d.cfg.Grace, d.cfg.Over, len(d.all)))
	return d.closed == len(d.all)
}

// share is how many of n are due when elapsed of over has passed.
func share(elapsed, over time.Duration, n int) int {
	switch {
	case elapsed < 0:
		return 0
	case elapsed >= over:
		return n
	}
	return int(float64(n) * float64(elapsed) / float64(over))
}

func (d *Drain) tellUpTo(n int) {
	for ; d.told < n; d.told++ {
		s := d.all[d.told]
		span := (d.cfg.ReconnectMax - d.cfg.ReconnectMin).Milliseconds()
		wait := d.cfg.ReconnectMin.Milliseconds() + rand.Int64N(span+1)
		d.waits[d.told] = wait
		if s.Permissions&session.Raw != 0 {
			continue
		}
		op := netpoll.OpText
		d.frame = wire.AppendGoaway(d.frame[:0], wire.GoawayDrain, wait)
		if s.Permissions&session.SSE != 0 {
			op, d.frame = netpoll.OpEvent, netpoll.AppendEvent(nil, wire.ServerGoaway.String(), nil, d.frame)
		}
		d.sockets.Send(netpoll.ConnID(s.Conn), op, d.frame, nil, 0)
	}
}

func (d *Drain) closeUpTo(n int) {
	for ; d.closed < n; d.closed++ {
		d.frame = wire.AppendReconnect(d.frame[:0], d.waits[d.closed])
		d.sockets.Close(netpoll.ConnID(d.all[d.closed].Conn), netpoll.CloseGoingAway, string(d.frame))
	}
}

package disruption

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Config is what a worker is told at its start.
type Config struct {
	Nodes     []Node        `json:"nodes"`
	Token     string        `json:"token"`  // for the nodes' API; empty: none
	Worker    int           `json:"worker"` // its number
	First     int           `json:"first"`  // number of its first device
	Devices   int           `json:"devices"`
	PerSecond float64       `json:"per_second"` // pushes
	Moves     float64       `json:"moves"`      // devices that move in a second
	Known     time.Duration `json:"known"`      // until every node must know of a session
	Arrival   time.Duration `json:"arrival"`    // until a message that was written must have arrived
}

// dialsMax is how many devices of a worker connect at one time.
const dialsMax = 64

// wrongKept is how many descriptions of wrong deliveries are kept.
const wrongKept = 10

// fleet is the devices of a worker.
type fleet struct {
	cfg     Config
	nodes   *watched
	devices []*device
	dials   chan struct{} // a token for each device that connects
	moving  atomic.Bool   // devices move at Config.Moves
	running sync.WaitGroup
	count   struct{ failedDials, ended, goaways, wrong, twice atomic.Int64 }

	mu       sync.Mutex
	arrivals []uint8 // by number of the push: how often it arrived
	wrongs   []string
}

func newFleet(cfg Config, nodes *watched) *fleet {
	f := &fleet{cfg: cfg, nodes: nodes, dials: make(chan struct{}, dialsMax)}
	for i := range cfg.Devices {
		f.devices = append(f.devices, &device{fleet: f, name: fmt.Sprintf("device-%d", cfg.First+i)})
	}
	return f
}

// run keeps all devices connected until ctx ends.
func (f *fleet) run(ctx context.Context) {
	for _, d := range f.devices {
		f.running.Go(func() { d.come(ctx) })
	}
	f.running.Go(func() { f.move(ctx) })
	<-ctx.Done()
	for _, d := range f.devices {
		d.close()
	}
	f.running.Wait()
}

// move makes random devices move, at the rate, while that is wanted.
func (f *fleet) move(ctx context.Context) {
	if f.cfg.Moves <= 0 {
		return
	}
	tick := time.NewTicker(time.Duration(float64(time.Second) / f.cfg.Moves))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if f.moving.Load() {
			d := f.devices[rand.N(len(f.devices))]
			f.running.Go(func() { d.move(ctx) })
		}
	}
}

// census counts devices with a session, and those with more than one.
func (f *fleet) census() (connected, doubled int) {
	for _, d := range f.devices {
		v := d.view()
		if v.session != nil {
			connected++
		}
		if v.others > 0 {
			doubled++
		}
	}
	return connected, doubled
}

// number makes a number for a push.
func (f *fleet) number() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.arrivals = append(f.arrivals, 0)
	return len(f.arrivals) - 1
}

// arrived notes that a push is at its device.
func (f *fleet) arrived(p pushed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if p.Worker != f.cfg.Worker || p.Number >= len(f.arrivals) {
		return // of an earlier run; it was for this device all the same
	}
	if f.arrivals[p.Number]++; f.arrivals[p.Number] > 1 {
		f.count.twice.Add(1)
	}
}

// arrivalsOf says how often a push has arrived.
func (f *fleet) arrivalsOf(number int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return int(f.arrivals[number])
}

// wrong notes a message at the wrong device.
func (f *fleet) wrong(what string) {
	f.count.wrong.Add(1)
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.wrongs) < wrongKept {
		f.wrongs = append(f.wrongs, what)
	}
}

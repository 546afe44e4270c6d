package disruption

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// inFlightMax bounds the pushes of a worker that are not judged; above it pushes are
// skipped, and the load was not what it was to be.
const inFlightMax = 8000

// pusher pushes to devices of its fleet and judges what it is told.
type pusher struct {
	fleet    *fleet
	world    *atomic.Pointer[World]
	phase    *atomic.Pointer[string]
	client   *http.Client
	tally    *Tally // guarded by mu
	mu       sync.Mutex
	inFlight atomic.Int64
	running  sync.WaitGroup
}

func newPusher(f *fleet, world *atomic.Pointer[World], phase *atomic.Pointer[string]) *pusher {
	return &pusher{
		fleet: f, world: world, phase: phase, tally: newTally(),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}},
	}
}

// run pushes at the rate until ctx ends, open loop: a push that waits holds up no other.
// all is the context of the pushes themselves.
func (p *pusher) run(ctx, all context.Context) {
	p.pace(ctx, p.fleet.cfg.PerSecond, -1, func() {
		p.push(all, p.fleet.devices[rand.N(len(p.fleet.devices))], false)
	})
	p.running.Wait()
	p.client.CloseIdleConnections()
}

// prove pushes to n random devices at a rate; each must be written.
func (p *pusher) prove(ctx context.Context, perSecond float64, n int) {
	var all sync.WaitGroup
	p.pace(ctx, perSecond, n, func() {
		all.Add(1)
		p.running.Go(func() {
			defer all.Done()
			p.one(ctx, p.fleet.devices[rand.N(len(p.fleet.devices))], true)
		})
	})
	all.Wait()
}

// pace calls begin n times at a rate; n < 0: until ctx ends.
func (p *pusher) pace(ctx context.Context, perSecond float64, n int, begin func()) {
	if perSecond <= 0 {
		return
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	start, begun := time.Now(), 0
	for n < 0 || begun < n {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			for due := int(now.Sub(start).Seconds() * perSecond); begun < due && (n < 0 || begun < n); begun++ {
				begin()
			}
		}
	}
}

func (p *pusher) push(ctx context.Context, d *device, proof bool) {
	if p.inFlight.Load() >= inFlightMax {
		p.note(func(t *Tally) { t.Skipped++ })
		return
	}
	p.inFlight.Add(1)
	p.running.Go(func() {
		defer p.inFlight.Add(-1)
		p.one(ctx, d, proof)
	})
}

// one pushes once, to the first node that takes it, and sees to the judgement.
func (p *pusher) one(ctx context.Context, d *device, proof bool) {
	for range entriesMax {
		entry, ok := p.fleet.nodes.forPush()
		if !ok {
			pause(ctx, watchEvery)
			continue
		}
		one := &push{device: d, number: p.fleet.number(), entry: entry, proof: proof, phase: *p.phase.Load()}
		one.begin = p.look(one)
		begun := time.Now()
		one.begunNS = begun.UnixNano()
		taken := p.post(ctx, one)
		one.took = time.Since(begun)
		if ctx.Err() != nil {
			return
		}
		if one.wasReset && p.leaves(entry) {
			if pause(ctx, grace); p.fleet.arrivalsOf(one.number) == 0 {
				p.note(func(t *Tally) { t.Reset++ })
				continue
			}
		}
		if taken {
			pause(ctx, grace)
			class := classify(one.begin, p.look(one), one.begunNS, p.fleet.cfg.Known)
			pause(ctx, p.patience(one))
			one.stayed = one.begin.changes == one.device.view().changes
			p.judge(one, class)
			return
		}
		p.note(func(t *Tally) { t.Refused++ })
	}
	p.note(func(t *Tally) { t.Skipped++ })
}

// leaves says that a node is on its way out, or gone, though it was not killed.
func (p *pusher) leaves(entry int) bool {
	s := p.fleet.nodes.state[entry].Load()
	return (s == isDraining || s == isSilent) && !p.world.Load().Died[entry]
}

// look is what the device and the world look like now.
func (p *pusher) look(one *push) view {
	v := one.device.view()
	if v.session != nil {
		v.way = p.world.Load().Pairs[one.entry][v.session.node]
	}
	return v
}

// patience is how long after grace a message may still arrive: no longer than until it
// has, and not at all when it was not written.
func (p *pusher) patience(one *push) time.Duration {
	if one.outcome == "written" && p.fleet.arrivalsOf(one.number) > 0 {
		return 0
	}
	return p.fleet.cfg.Arrival
}

// judge files what became of a push.
func (p *pusher) judge(one *push, class Class) {
	arrivals := p.fleet.arrivalsOf(one.number)
	died := p.world.Load().Died[one.entry]
	p.note(func(t *Tally) { t.judge(one, class, arrivals, died, p.fleet.cfg.Nodes[one.entry].Name) })
}

func (p *pusher) note(change func(t *Tally)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p.tally)
}

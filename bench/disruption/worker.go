package disruption

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// Order is what the conductor tells a worker; the fields that are set are obeyed, in
// this order.
type Order struct {
	Config *Config `json:"config,omitempty"` // first of all, with World
	World  *World  `json:"world,omitempty"`
	Phase  string  `json:"phase,omitempty"`
	Moving *bool   `json:"moving,omitempty"`
	Load   bool    `json:"load,omitempty"` // begin to push
	Prove  int     `json:"prove,omitempty"`
	Rate   float64 `json:"rate,omitempty"` // of Prove
	End    bool    `json:"end,omitempty"`
}

// News is what a worker says: twice a second what its devices do, and at the end the tally.
type News struct {
	Connected int    `json:"connected"`
	Doubled   int    `json:"doubled"` // devices with more than one session
	Proved    bool   `json:"proved,omitempty"`
	Obeyed    int    `json:"obeyed"` // orders so far
	Tally     *Tally `json:"tally,omitempty"`
	Err       string `json:"err,omitempty"`
}

const newsEvery = 250 * time.Millisecond

// worker is a process with a share of the devices and pushes.
type worker struct {
	world  atomic.Pointer[World]
	phase  atomic.Pointer[string]
	fleet  *fleet
	pusher *pusher
	out    *json.Encoder // guarded by mu
	mu     sync.Mutex
	obeyed int // guarded by mu
	proved bool
}

// Work carries orders out until End or the end of orders, and writes news.
func Work(ctx context.Context, orders io.Reader, news io.Writer) error {
	in := json.NewDecoder(orders)
	var first Order
	if err := in.Decode(&first); err != nil {
		return fmt.Errorf("disruption: the first order: %w", err)
	}
	if first.Config == nil || first.World == nil {
		return errors.New("disruption: the first order has no config or no world")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := &worker{out: json.NewEncoder(news)}
	w.world.Store(first.World)
	w.phase.Store(&first.Phase)
	nodes := newWatched(first.Config.Nodes, &w.world)
	w.fleet = newFleet(*first.Config, nodes)
	w.pusher = newPusher(w.fleet, &w.world, &w.phase)
	nodes.look(ctx)
	var running sync.WaitGroup
	running.Go(func() { nodes.run(ctx) })
	running.Go(func() { w.fleet.run(ctx) })
	running.Go(func() { w.tell(ctx) })
	err := w.obey(ctx, in)
	cancel()
	running.Wait()
	if err != nil {
		return err
	}
	return w.out.Encode(News{Tally: w.total()})
}

// obey takes orders until the end.
func (w *worker) obey(ctx context.Context, in *json.Decoder) error {
	loadCtx, stopLoad := context.WithCancel(ctx)
	defer stopLoad()
	var load sync.WaitGroup
	for {
		var o Order
		if err := in.Decode(&o); err != nil {
			return fmt.Errorf("disruption: orders: %w", err)
		}
		if o.World != nil {
			w.world.Store(o.World)
		}
		if o.Phase != "" {
			w.phase.Store(&o.Phase)
		}
		if o.Moving != nil {
			w.fleet.moving.Store(*o.Moving)
		}
		if o.Load {
			load.Go(func() { w.pusher.run(loadCtx, ctx) })
		}
		if o.Prove > 0 {
			w.note(func() { w.proved = false })
			load.Go(func() {
				w.pusher.prove(ctx, o.Rate, o.Prove)
				w.note(func() { w.proved = true })
			})
		}
		w.note(func() { w.obeyed++ })
		if o.End {
			stopLoad()
			load.Wait()
			return nil
		}
	}
}

func (w *worker) note(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

// tell says what the devices do, until ctx ends.
func (w *worker) tell(ctx context.Context) {
	tick := time.NewTicker(newsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var n News
		n.Connected, n.Doubled = w.fleet.census()
		w.mu.Lock()
		n.Proved, n.Obeyed = w.proved, w.obeyed
		err := w.out.Encode(n)
		w.mu.Unlock()
		if err != nil {
			return // the conductor is gone, and the orders end too
		}
	}
}

// total is the tally of pushes and devices. Nothing runs any more.
func (w *worker) total() *Tally {
	t := w.pusher.tally.pack()
	c := &w.fleet.count
	t.Wrong, t.Twice = c.wrong.Load(), c.twice.Load()
	t.FailedDials, t.Ended, t.Goaways = c.failedDials.Load(), c.ended.Load(), c.goaways.Load()
	for _, text := range w.fleet.wrongs {
		t.example("wrong", text)
	}
	return t
}

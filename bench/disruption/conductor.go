package disruption

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"
)

// Settings are a cluster that runs already, the load, and who disturbs it.
type Settings struct {
	Nodes     []Node
	Token     string
	Control   []string      // program that is called with: kill N, start N, stop N, cut N,.. N,.., heal
	Worker    []string      // command line of a worker process
	Workers   int           // processes; each may hold as many devices as it may open descriptors
	Devices   int           // of all workers
	PerSecond float64       // pushes
	Moves     float64       // devices that move in a second
	Known     time.Duration // until all nodes must know of a session; 0: the default
	Arrival   time.Duration // until a message that was written must have arrived; 0: the default
	Note      func(string)  // is told what happens; nil: nobody
}

// Times of conducting.
const (
	connectMax = 5 * time.Minute  // for all devices to be connected
	proofMax   = 10 * time.Minute // for a proof
	backMax    = 30 * time.Second // for the last device to be back before a proof: nodes that leave tell them to wait up to 15 s
	newsMax    = 10 * time.Second // without news of a worker; then it hangs
	obeyWait   = 5 * time.Second  // for an order to be obeyed
)

// run is one plan being carried out. It belongs to one goroutine.
type run struct {
	ctx      context.Context
	settings Settings
	world    *World
	workers  []*process
	result   *Result
}

// process is a worker process.
type process struct {
	cmd    *exec.Cmd
	orders io.WriteCloser
	sent   int

	mu    sync.Mutex
	last  News          // guarded by mu
	tally *Tally        // guarded by mu
	err   error         // guarded by mu
	ended chan struct{} // its news are over
}

// carryOut starts the workers, has them connect, and does what the plan says under load.
func (s Settings) carryOut(ctx context.Context, name string, do func(*run) error) (*Result, error) {
	if s.Note == nil {
		s.Note = func(string) {}
	}
	s.Known, s.Arrival = cmp.Or(s.Known, knownDefault), cmp.Or(s.Arrival, arrivalDefault)
	if s.Workers < 1 || s.Devices < s.Workers || s.PerSecond <= 0 {
		return nil, fmt.Errorf("disruption: %d devices in %d workers and %g pushes a second make no load", s.Devices, s.Workers, s.PerSecond)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := &run{ctx: ctx, settings: s, world: newWorld(len(s.Nodes)), result: newResult(name, s)}
	defer r.end()
	if err := r.begin(); err != nil {
		return nil, err
	}
	begun := time.Now()
	if err := do(r); err != nil {
		return nil, err
	}
	r.result.Load = time.Since(begun)
	return r.result, r.collect()
}

// begin starts the workers and waits until all devices are connected.
func (r *run) begin() error {
	s := r.settings
	for i := range s.Workers {
		first := s.Devices * i / s.Workers
		cfg := &Config{
			Nodes: s.Nodes, Token: s.Token, Worker: i, First: first, Devices: s.Devices*(i+1)/s.Workers - first,
			PerSecond: s.PerSecond / float64(s.Workers), Moves: s.Moves / float64(s.Workers), Known: s.Known, Arrival: s.Arrival,
		}
		p, err := startProcess(s.Worker)
		if err != nil {
			return err
		}
		r.workers = append(r.workers, p)
		p.order(Order{Config: cfg, World: r.world.copy(), Phase: connecting})
		p.sent = 0 // the first is no order
	}
	begun := time.Now()
	if err := r.await(connectMax, "all devices are connected", func() bool { return r.census().Connected == s.Devices }); err != nil {
		return err
	}
	r.note(fmt.Sprintf("%d devices are connected after %v", s.Devices, time.Since(begun).Round(time.Millisecond)))
	r.order(Order{Load: true})
	return nil
}

func startProcess(command []string) (*process, error) {
	p := &process{cmd: exec.Command(command[0], command[1:]...), ended: make(chan struct{})}
	p.cmd.Stderr = os.Stderr
	orders, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("disruption: %w", err)
	}
	news, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("disruption: %w", err)
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("disruption: a worker: %w", err)
	}
	p.orders = orders
	go p.listen(news)
	return p, nil
}

// listen takes the news until there are no more.
func (p *process) listen(news io.Reader) {
	defer close(p.ended)
	in := json.NewDecoder(news)
	for {
		var n News
		err := in.Decode(&n)
		p.mu.Lock()
		switch {
		case err != nil:
			p.err = fmt.Errorf("disruption: a worker has ended: %w", err)
		case n.Tally != nil:
			p.tally = n.Tally
		default:
			p.last = n
		}
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (p *process) order(o Order) {
	text, err := json.Marshal(o)
	if err != nil {
		panic(err)
	}
	p.sent++
	_, _ = p.orders.Write(append(text, '\n')) // that it has ended is seen by its news
}

// order tells all workers, and waits until they have heard it: what follows must not
// come before.
func (r *run) order(o Order) {
	if o.Phase != "" && !slices.Contains(r.result.Phases, o.Phase) {
		r.result.Phases = append(r.result.Phases, o.Phase)
	}
	for _, p := range r.workers {
		p.order(o)
	}
	_ = r.await(obeyWait, "the workers have heard", func() bool {
		for _, p := range r.workers {
			if p.news().Obeyed < p.sent {
				return false
			}
		}
		return true
	})
}

func (p *process) news() News {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

// census adds up what the workers said last.
func (r *run) census() (all News) {
	all.Proved = true
	for _, p := range r.workers {
		n := p.news()
		all.Connected += n.Connected
		all.Doubled += n.Doubled
		all.Proved = all.Proved && n.Proved
	}
	return all
}

// await waits until ok, a worker fails, or the time is over.
func (r *run) await(most time.Duration, what string, ok func() bool) error {
	for end := time.Now().Add(most); !ok(); {
		if err := r.wait(20 * time.Millisecond); err != nil {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("disruption: after %v it is not so that %s: %d devices are connected", most, what, r.census().Connected)
		}
	}
	return nil
}

// wait lets time pass.
func (r *run) wait(how time.Duration) error {
	t := time.NewTimer(how)
	defer t.Stop()
	select {
	case <-r.ctx.Done():
		return r.ctx.Err()
	case <-t.C:
	}
	for _, p := range r.workers {
		p.mu.Lock()
		err := p.err
		p.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// control has something done to the cluster.
func (r *run) control(args ...string) error {
	command := append(slices.Clone(r.settings.Control), args...)
	begun := time.Now()
	text, err := exec.CommandContext(r.ctx, command[0], command[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("disruption: %v: %w: %s", command, err, text)
	}
	r.note(fmt.Sprintf("%v took %v", args, time.Since(begun).Round(time.Millisecond)))
	return nil
}

func (r *run) note(text string) { r.settings.Note(text) }

// prove pushes to random devices through random nodes, beside the load, while no device
// moves. Each must be written.
func (r *run) prove(p Plan, name string) error {
	r.order(Order{Phase: name, World: r.world.copy(), Moving: &no})
	err := r.await(backMax, "every device has one session", func() bool {
		c := r.census()
		return c.Connected == r.settings.Devices && c.Doubled == 0
	})
	if r.ctx.Err() != nil {
		return err
	}
	c := r.census()
	each := max(p.Proofs/len(r.workers), 1) // an order to prove nothing would be no order
	r.result.Proofs = append(r.result.Proofs, Proof{Name: name, Connected: c.Connected, Doubled: c.Doubled, Wanted: each * len(r.workers)})
	r.note(fmt.Sprintf("%s: %d pushes, each of which must be written", name, each*len(r.workers)))
	r.order(Order{Prove: each, Rate: p.Rate / float64(len(r.workers))})
	return r.await(proofMax, "the proof is done", func() bool { return r.census().Proved })
}

// collect ends the workers and adds up what they have counted.
func (r *run) collect() error {
	for _, p := range r.workers {
		p.order(Order{End: true})
	}
	for _, p := range r.workers {
		select {
		case <-p.ended:
		case <-time.After(connectMax):
			return errors.New("disruption: a worker does not end")
		}
		p.mu.Lock()
		tally, err := p.tally, p.err
		p.mu.Unlock()
		if tally == nil {
			return err
		}
		r.result.Tally.merge(tally)
	}
	r.result.judge()
	return nil
}

// end lets go of the workers, whatever happened.
func (r *run) end() {
	for _, p := range r.workers {
		p.orders.Close() // no more orders: it ends
		select {
		case <-p.ended:
		case <-time.After(newsMax):
			_ = p.cmd.Process.Kill()
		}
		_ = p.cmd.Wait()
	}
}

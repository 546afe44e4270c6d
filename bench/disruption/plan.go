package disruption

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Plan is what is done to a cluster, and how long each part lasts.
type Plan struct {
	Steady  time.Duration // of load while nothing is disturbed
	Killed  time.Duration // with one node dead
	Cut     time.Duration // with two nodes cut off from the others
	Recover time.Duration // from the healing until everything must hold again
	Proofs  int           // pushes of a proof, each of which must be written
	Rate    float64       // of a proof, pushes a second
}

// DefaultPlan returns the times that the issue names.
func DefaultPlan() Plan {
	return Plan{Steady: 10 * time.Second, Killed: 20 * time.Second, Cut: 120 * time.Second, Recover: 10 * time.Second, Proofs: 10_000, Rate: 1000}
}

// parting is how long after the cut a packet may still arrive that was sent before.
const parting = time.Second

// Partition kills the last node, cuts the first two off from the others, heals, and
// starts the killed one again.
func (p Plan) Partition(ctx context.Context, s Settings) (*Result, error) {
	if len(s.Nodes) < 5 {
		return nil, fmt.Errorf("disruption: %d nodes are too few: two are cut off from two others, and one is killed", len(s.Nodes))
	}
	return s.carryOut(ctx, "partition", func(r *run) error {
		all := r.world.all()
		last, few, rest := all[len(all)-1:], all[:2], all[2:]
		for _, step := range []func() error{
			func() error { return r.phase("before", p.Steady) },
			func() error { return r.kill(last[0]) },
			func() error { return r.phase("one killed", p.Killed) },
			func() error { return r.cut(few, rest) },
			func() error { return r.phase("cut", p.Cut) },
			func() error { return r.heal(few, rest, p.Recover) },
			func() error { return r.prove(p, fmt.Sprintf("%v after healing", p.Recover)) },
			func() error { return r.start(last[0], "restart") },
			func() error { return r.phase("restarted", p.Steady) },
			func() error { return r.prove(p, "after the restart") },
		} {
			if err := step(); err != nil {
				return err
			}
		}
		return nil
	})
}

// Rolling stops and starts every node, one after the other.
func (p Plan) Rolling(ctx context.Context, s Settings) (*Result, error) {
	if len(s.Nodes) < 2 {
		return nil, fmt.Errorf("disruption: %d nodes are too few: devices must have somewhere to go", len(s.Nodes))
	}
	return s.carryOut(ctx, "rolling restart", func(r *run) error {
		if err := r.phase("before", p.Steady); err != nil {
			return err
		}
		for i, n := range s.Nodes {
			if err := r.restart(i); err != nil {
				return err
			}
			if err := r.phase(n.Name+" is back", p.Steady); err != nil {
				return err
			}
		}
		return r.prove(p, "at the end")
	})
}

// phase lets the load go on for a time under a name.
func (r *run) phase(name string, how time.Duration) error {
	r.order(Order{Phase: name, World: r.world.copy(), Moving: &yes})
	r.note(fmt.Sprintf("%s: %v", name, how))
	return r.wait(how)
}

var yes, no = true, false

// kill ends a node as a power cut would.
func (r *run) kill(node int) error {
	r.world.set([]int{node}, r.world.all(), Unsettled)
	r.world.Down[node], r.world.Died[node] = true, true
	r.order(Order{Phase: "kill", World: r.world.copy()})
	return r.control("kill", number(node))
}

// cut parts some nodes from the others.
func (r *run) cut(few, rest []int) error {
	r.world.Split = true
	r.world.set(few, rest, Unsettled)
	r.order(Order{Phase: "cutting", World: r.world.copy()})
	if err := r.control("cut", numbers(few), numbers(rest)); err != nil {
		return err
	}
	if err := r.wait(parting); err != nil {
		return err
	}
	r.world.set(few, rest, Parted)
	return nil
}

// heal joins them again, and waits as long as they may take to find each other. Devices
// stay where they are, so that what follows can be pushed to.
func (r *run) heal(few, rest []int, within time.Duration) error {
	r.world.set(few, rest, Unsettled)
	r.order(Order{Phase: "healing", World: r.world.copy(), Moving: &no})
	if err := r.control("heal"); err != nil {
		return err
	}
	r.note(fmt.Sprintf("healed: %v to recover", within))
	if err := r.wait(within); err != nil {
		return err
	}
	r.world.Split = false
	r.world.set(few, rest, Joined)
	for i, down := range r.world.Down {
		if down {
			r.world.set([]int{i}, r.world.all(), Unsettled)
		}
	}
	return nil
}

// start starts a node again; it counts from when it says that it is ready.
func (r *run) start(node int, phase string) error {
	r.order(Order{Phase: phase, World: r.world.copy()})
	if err := r.control("start", number(node)); err != nil {
		return err
	}
	r.world.Down[node], r.world.Died[node] = false, false
	r.world.set([]int{node}, r.world.up(), Joined)
	return nil
}

// restart stops a node as an operator does and starts it again. Until its process has
// ended, what it says counts: its devices are connected until they are told to go.
func (r *run) restart(node int) error {
	phase := r.settings.Nodes[node].Name + " restarts"
	r.order(Order{Phase: phase, World: r.world.copy(), Moving: &yes})
	r.note(phase)
	if err := r.control("stop", number(node)); err != nil {
		return err
	}
	r.world.Down[node] = true
	r.world.set([]int{node}, r.world.all(), Unsettled)
	return r.start(node, phase)
}

// number is a node as the control program calls it.
func number(node int) string { return fmt.Sprint(node + 1) }

func numbers(nodes []int) string {
	var list []string
	for _, n := range nodes {
		list = append(list, number(n))
	}
	return strings.Join(list, ",")
}

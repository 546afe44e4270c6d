package budget

import (
	"context"
	"slices"

	"github.com/roostpush/roost/bench"
	"github.com/roostpush/roost/bench/experiment"
	"github.com/roostpush/roost/bench/generator"
	"github.com/roostpush/roost/bench/target"
)

// withCluster starts nodes of one cluster on the servers' core, with more arguments of
// roost serve, calls f, and kills them.
func (b *board) withCluster(ctx context.Context, count int, args []string, f func(*experiment.Cluster) error) error {
	c, err := experiment.StartCluster(ctx, b.cfg.ServerCPU, b.cfg.Roost, count, slices.Concat(args, b.cfg.ServeArgs)...)
	if err != nil {
		return err
	}
	defer c.Kill()
	return f(c)
}

// clusterScenario is one load of a cluster, whose CPU and memory is that of all nodes
// together. Devices connect to the nodes of devices in turn; api may be empty.
func (b *board) clusterScenario(name string, c *experiment.Cluster, devices, api []*experiment.Node, phases []generator.Phase) (bench.Scenario, error) {
	to := target.Default()
	to.Sources = b.cfg.Sources
	for i, n := range devices {
		url := "ws://" + n.Public + "/ws"
		if i == 0 {
			to.URL = url
		} else {
			to.Also = append(to.Also, url)
		}
	}
	s := bench.DefaultScenario(name, to)
	s.ServerPIDs, s.Phases = c.PIDs(), phases
	var urls []string
	for _, n := range api {
		urls = append(urls, "http://"+n.Internal)
	}
	var err error
	s.API, err = bench.ParseAPI(urls...)
	return s, err
}

// settled puts a pause between opening connections and what follows: what the opening
// left to do is not the measured phase's.
func (b *board) settled(phases []generator.Phase) []generator.Phase {
	return slices.Insert(slices.Clone(phases), 1, generator.Phase{Kind: generator.Wait, Duration: b.cfg.Settle})
}

package experiment

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// clusterHashKey is the hash_key of the clusters here; it protects nothing.
const clusterHashKey = "000102030405060708090a0b0c0d0e0f"

// Limits of putting a cluster together.
const (
	joinWait = 30 * time.Second // until all nodes know each other
	joinPoll = 20 * time.Millisecond
)

// Cluster is nodes n1, n2 and so on of one cluster, on loopback. It belongs to the
// goroutine that started it.
type Cluster struct {
	Nodes []*Node

	core    int
	program string
	dir     string   // of their stores
	extra   []string // more arguments of roost serve
}

// StartCluster starts so many nodes with all their threads on one core
// (hostinfo.Unpinned: any) and waits until each follows the others' logs.
func StartCluster(ctx context.Context, core int, program string, count int, extra ...string) (*Cluster, error) {
	dir, err := os.MkdirTemp("", "roost-cluster-")
	if err != nil {
		return nil, fmt.Errorf("experiment: %w", err)
	}
	c := &Cluster{core: core, program: program, dir: dir, extra: extra}
	for i := range count {
		c.Nodes = append(c.Nodes, nil)
		if err := c.Start(ctx, i); err != nil {
			c.Kill()
			return nil, err
		}
	}
	if err := c.AwaitLinked(ctx); err != nil {
		c.Kill()
		return nil, err
	}
	return c, nil
}

// Start starts node number i, which is not running, on its own store.
func (c *Cluster) Start(ctx context.Context, i int) (err error) {
	data := filepath.Join(c.dir, NodeName(i))
	if err := os.MkdirAll(data, 0o755); err != nil {
		return fmt.Errorf("experiment: %w", err)
	}
	var join []string
	for k, n := range c.Nodes {
		if k != i && n != nil {
			join = append(join, n.Gossip)
		}
	}
	args := []string{
		"--set", "node=" + NodeName(i), "--set", "cluster.enabled=true", "--set", "cluster.hash_key=" + clusterHashKey,
		"--set", "peer.listen=127.0.0.1:0", "--set", "gossip.listen=127.0.0.1:0", "--set", "gossip.join=" + strings.Join(join, ","),
	}
	c.Nodes[i], err = StartNodeOn(ctx, c.core, c.program, data, slices.Concat(args, c.extra)...)
	return err
}

// NodeName is the id of node number i.
func NodeName(i int) string { return fmt.Sprint("n", i+1) }

// Kill ends all nodes and removes their stores.
func (c *Cluster) Kill() {
	for _, n := range c.Nodes {
		if n != nil {
			n.Kill()
		}
	}
	_ = os.RemoveAll(c.dir)
}

// AwaitLinked waits until every node has links to all others and follows their logs.
func (c *Cluster) AwaitLinked(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, joinWait)
	defer cancel()
	for i, n := range c.Nodes {
		for ticker := time.NewTicker(joinPoll); ; {
			linked, err := n.isLinked(ctx, len(c.Nodes)-1)
			if linked {
				ticker.Stop()
				break
			}
			select {
			case <-ticker.C:
			case <-ctx.Done():
				ticker.Stop()
				return fmt.Errorf("experiment: node %s did not get to know the others in %s (%v); it said:\n%s", NodeName(i), joinWait, err, n.log.Text())
			}
		}
	}
	return nil
}

// isLinked says whether the node has links to so many others and follows their logs.
func (n *Node) isLinked(ctx context.Context, others int) (bool, error) {
	all, err := n.Metrics(ctx)
	return err == nil && all.Value("roost_peer_links") == float64(others) && all.Value("roost_replica_authors") == float64(others), err
}

// Knows says whether the node takes another for a member of its cluster.
func (n *Node) Knows(ctx context.Context, name string) (bool, error) {
	_, body, err := n.Get(ctx, "/v1/nodes")
	if err != nil {
		return false, fmt.Errorf("experiment: nodes: %w", err)
	}
	var answer struct{ Nodes []struct{ Node string } }
	if err := json.Unmarshal(body, &answer); err != nil {
		return false, fmt.Errorf("experiment: nodes: %w", err)
	}
	return slices.ContainsFunc(answer.Nodes, func(m struct{ Node string }) bool { return m.Node == name }), nil
}

// PIDs are the nodes' processes.
func (c *Cluster) PIDs() (all []int) {
	for _, n := range c.Nodes {
		all = append(all, n.PID)
	}
	return all
}

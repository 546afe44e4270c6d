package budget

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/roostpush/roost/bench/experiment"
	"github.com/roostpush/roost/bench/report"
)

const (
	whatClusterMemory  = "a device of a 3-node cluster, process memory where it is connected"
	whatClusterTraffic = "an idle 3-node cluster, traffic of a node"
)

// The budgets of an idle cluster.
const (
	clusterMemoryMax  = 512.0      // bytes of process memory a device
	clusterTrafficMax = 5*1024 - 1 // bytes a second
)

type clusterIdleSizes struct {
	Watch     time.Duration // of the traffic; a full exchange of gossip comes every 30 s
	Low, High int64
	Quiet     time.Duration
	PerSecond float64
}

func defaultClusterIdle() clusterIdleSizes {
	return clusterIdleSizes{Watch: 30 * time.Second, Low: 2_000, High: 18_000, Quiet: 15 * time.Second, PerSecond: 2_000}
}

// traffic is what one node sent, a second.
type traffic struct {
	Gossip float64 `json:"gossip_bytes"` // payload
	Links  float64 `json:"link_bytes"`   // payload
	Heads  float64 `json:"header_bytes"` // of the packets, as computed
}

func (t traffic) all() float64 { return t.Gossip + t.Links + t.Heads }

// Headers of a packet with IPv4: of UDP, and of TCP with timestamps. Of each write on a link
// the other side sends an acknowledgement.
const (
	udpHead = 28
	tcpHead = 52
)

// clusterIdle is what the part found.
type clusterIdle struct {
	Traffic []traffic               `json:"traffic"` // by node
	Slope   *experiment.SlopeResult `json:"slope"`
}

// runClusterIdle measures three nodes without devices, and then with idle devices on the
// first.
func runClusterIdle(ctx context.Context, b *board) ([]Row, error) {
	z := b.cfg.ClusterIdle
	var all clusterIdle
	args := []string{"--set", fmt.Sprintf("netpoll.ping_interval=%s", pingInterval)}
	err := b.withCluster(ctx, 3, args, func(c *experiment.Cluster) (err error) {
		if all.Traffic, err = b.watchTraffic(ctx, c, z.Watch); err != nil {
			return err
		}
		s := experiment.DefaultSlope(b.cfg.Roost)
		s.Low, s.High, s.Quiet, s.PerSecond, s.Sources, s.BytesMax = z.Low, z.High, z.Quiet, z.PerSecond, b.cfg.Sources, clusterMemoryMax
		all.Slope, err = experiment.ClusterSlope(ctx, s, c, b.cfg.Worker, b.progress)
		return err
	})
	if err != nil {
		return nil, err
	}
	b.show("idle devices of a cluster", all.Slope.Run)
	return clusterIdleRows(z, all), b.keep("budget-cluster-idle", all)
}

// watchTraffic reads what the nodes say that they sent.
func (b *board) watchTraffic(ctx context.Context, c *experiment.Cluster, d time.Duration) (all []traffic, err error) {
	if err := experiment.Pause(ctx, b.cfg.Settle); err != nil {
		return nil, err
	}
	read := func() (readings []experiment.Metrics, err error) {
		for _, n := range c.Nodes {
			m, err := n.Metrics(ctx)
			if err != nil {
				return nil, err
			}
			readings = append(readings, m)
		}
		return readings, nil
	}
	begun := time.Now()
	before, err := read()
	if err != nil {
		return nil, err
	}
	if err := experiment.Pause(ctx, d); err != nil {
		return nil, err
	}
	after, err := read()
	if err != nil {
		return nil, err
	}
	seconds := time.Since(begun).Seconds()
	for i := range after {
		sent := func(name string) float64 { return (after[i].Value(name) - before[i].Value(name)) / seconds }
		all = append(all, traffic{
			Gossip: sent("roost_gossip_bytes_out_total"), Links: sent("roost_peer_bytes_out_total"),
			Heads: udpHead*sent("roost_gossip_packets_out_total") + 2*tcpHead*sent("roost_peer_writes_out_total"),
		})
	}
	return all, nil
}

func clusterIdleRows(z clusterIdleSizes, all clusterIdle) []Row {
	var most traffic
	var nodes, others []string
	for _, t := range all.Traffic {
		if nodes = append(nodes, fmt.Sprintf("%.0f", t.all())); t.all() > most.all() {
			most = t
		}
	}
	r := all.Slope
	for i, o := range r.Others {
		others = append(others, fmt.Sprintf("%s: %.0f B (anonymous %.0f B), of it new arrays of the table %.0f B", experiment.NodeName(i+1), o.RSS, o.Anon, o.Table))
	}
	rows := []Row{
		{
			What: whatClusterTraffic, Budget: "gossip and links < 5 KB/s sent, headers of packets included", Value: most.all(), Limit: clusterTrafficMax,
			Figure: fmt.Sprintf("%s/s at most (nodes, B/s: %s): gossip %.0f B, links %.0f B, headers %.0f B", report.Size(most.all()),
				strings.Join(nodes, ", "), most.Gossip, most.Links, most.Heads),
		},
		{
			What: whatClusterMemory, Budget: fmt.Sprintf("≤ %.0f B, slope from %d to %d", clusterMemoryMax, z.Low, z.High), Value: r.RSS, Limit: clusterMemoryMax,
			Figure: fmt.Sprintf("%.0f B (anonymous %.0f B, live heap %.0f B), %d of %d alive", r.RSS, r.Anon, r.HeapLive, r.Alive, z.High),
			Note:   "each costs the nodes that do not have it " + strings.Join(others, "; "),
		},
	}
	if len(all.Traffic) == 0 || most.Links == 0 || most.Gossip == 0 {
		rows[0].Verdict, rows[0].Note = Broken, "the nodes' metrics do not say what was sent"
	}
	if r.Alive != z.High {
		rows[1].Verdict, rows[1].Note = Broken, "not all devices were alive"
	}
	return rows
}

package gossip

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"
)

// benchCluster starts nodes with the default times on loopback.
func benchCluster(b *testing.B, size int, tune func(*transport)) []*node {
	b.Helper()
	var nodes []*node
	var join []string
	for i := range size {
		cfg := Default()
		cfg.Listen, cfg.Join = "127.0.0.1:0", join
		n := &node{told: &recorder{}, logs: &safeBuffer{}}
		self := Member{Node: fmt.Sprint("node-", i), Epoch: 12, PeerAddr: "192.168.100.100:7947", InternalAddr: "192.168.100.100:8081", PublicAddr: "192.168.100.100:8080"}
		var err error
		if n.Gossip, err = start(context.Background(), cfg, self, n.told, slog.New(slog.DiscardHandler), tune); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(n.Close)
		join = append(join, n.addr())
		nodes = append(nodes, n)
	}
	for _, n := range nodes {
		for len(n.Members()) < size {
			time.Sleep(time.Millisecond)
		}
	}
	return nodes
}

// BenchmarkIdleCluster measures what an idle cluster of three nodes costs each: one
// operation is a second. Give it -benchtime 65x, so that full exchanges are in it. On
// the wire a packet has 28 bytes more (IPv4, UDP), and a stream some 600 for TCP.
func BenchmarkIdleCluster(b *testing.B) {
	nodes := benchCluster(b, 3, func(*transport) {})
	time.Sleep(3 * time.Second) // the news of the joins is told by then
	before := nodes[0].Stats()
	start := time.Now()
	b.ResetTimer()
	for range b.N {
		time.Sleep(time.Second)
	}
	seconds := time.Since(start).Seconds()
	s := nodes[0].Stats()
	packets := float64(s.PacketsOut + s.PacketsIn - before.PacketsOut - before.PacketsIn)
	payload := float64(s.BytesOut + s.BytesIn - before.BytesOut - before.BytesIn)
	streams := float64(s.Streams - before.Streams)
	b.ReportMetric(payload/seconds, "payload-B/s")
	b.ReportMetric((payload+28*packets+600*2*streams)/seconds, "wire-B/s")
	b.ReportMetric(packets/seconds, "packets/s")
}

// BenchmarkSilentNode measures how soon all others have noticed a node that is cut off
// without a reset: each operation is one loss in a cluster of its own.
func BenchmarkSilentNode(b *testing.B) {
	for _, size := range []int{3, 5} {
		b.Run(fmt.Sprint("nodes=", size), func(b *testing.B) { benchSilent(b, size) })
	}
}

func benchSilent(b *testing.B, size int) {
	var worst, sum time.Duration
	for range b.N {
		b.StopTimer()
		var net switchboard
		nodes := benchCluster(b, size, net.tune)
		time.Sleep(time.Second)
		b.StartTimer()
		start := time.Now()
		rest := nodes[:size-1]
		net.cut(rest, nodes[size-1:])
		for _, n := range rest {
			for len(n.Members()) == size {
				time.Sleep(time.Millisecond)
			}
		}
		took := time.Since(start)
		worst, sum = max(worst, took), sum+took
		b.StopTimer()
		for _, n := range nodes {
			n.Close()
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(worst.Milliseconds()), "worst-ms")
	b.ReportMetric(float64(sum.Milliseconds())/float64(b.N), "mean-ms")
}

// BenchmarkHintedNode measures how soon a process that is gone is noticed after the
// hint of a reset link.
func BenchmarkHintedNode(b *testing.B) {
	var worst, sum time.Duration
	for range b.N {
		b.StopTimer()
		nodes := benchCluster(b, 3, func(*transport) {})
		nodes[2].Close()
		b.StartTimer()
		start := time.Now()
		nodes[0].Suspect("node-2")
		for len(nodes[0].Members()) > 2 {
			time.Sleep(time.Millisecond)
		}
		took := time.Since(start)
		worst, sum = max(worst, took), sum+took
		b.StopTimer()
		for _, n := range nodes {
			n.Close()
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(worst.Milliseconds()), "worst-ms")
	b.ReportMetric(float64(sum.Milliseconds())/float64(b.N), "mean-ms")
}

// BenchmarkMembers is what a caller pays that looks at the members often.
func BenchmarkMembers(b *testing.B) {
	r := newRoster(Member{Node: "self", Epoch: 1}, 1000, &counters{})
	for i := range 300 {
		n := asNode(Member{Node: fmt.Sprint("n", i), Epoch: 1})
		_ = r.NotifyAlive(n)
		r.NotifyJoin(n)
	}
	r.take()
	b.ReportAllocs()
	for b.Loop() {
		r.members()
	}
}

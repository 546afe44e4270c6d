package main

import (
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/roostpush/roost/session/wire"
)

// What strangers send to the ports for links and gossip is cut, counted by name and logged
// a few times, and the node goes on.
func TestGarbageOnPorts(t *testing.T) {
	t.Parallel()
	n1 := startProcess(t, 1024, clusterArgs("n1", "--set", "peer.hello_timeout=2s", "--set", "gossip.hello_timeout=2s")...)
	n2 := startProcess(t, 1024, clusterArgs("n2", "--set", "gossip.join="+n1.gossipAddr())...)
	n1.linksTo(1)
	n2.connect()
	eventually(t, "a push crosses", func() bool { return strings.Contains(n1.push(), `"outcome":"written","node":"n2"`) })
	quiet := n1.log.count("")

	random := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 4000)
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	hello := wire.AppendLinkHello(nil, &wire.LinkHello{Major: wire.LinkMajor, Channel: wire.ChannelControl, Cluster: "roost", Node: "n0", Epoch: 1, FrameBytesMax: 1 << 20})
	framed := wire.AppendLinkFrame(nil, wire.LinkTypeHello, hello)
	newer := slices.Clone(framed)
	binary.BigEndian.PutUint16(newer[5:], wire.LinkMajor+1)
	// Each text ten times, all texts at one time: what says nothing is cut by its timeout only,
	// which is long enough for a busy node to read what the others have said.
	send := func(addr string, texts ...[]byte) {
		t.Helper()
		var all sync.WaitGroup
		for _, text := range texts {
			all.Go(func() {
				for range 10 {
					c, err := net.Dial("tcp", addr)
					if err != nil {
						t.Error(err)
						return
					}
					_ = c.SetDeadline(time.Now().Add(patience))
					_, _ = c.Write(text)
					// It is cut without our doing, and a reset is no worse than an end.
					if _, err := io.Copy(io.Discard, c); err != nil && strings.Contains(err.Error(), "timeout") {
						t.Errorf("%.20q is not cut: %v", text, err)
					}
					c.Close()
				}
			})
		}
		all.Wait()
	}
	send(n1.linksAddr(),
		[]byte("GET / HTTP/1.1\r\nHost: n1\r\n\r\n"), []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), noise,
		make([]byte, 100), []byte{0xff, 0xff, 0xff, 0xff, 1}, wire.AppendLinkFrame(nil, wire.LinkTypePing, nil), newer,
		wire.AppendLinkFrame(nil, wire.LinkTypeHello, hello[:20]), framed[:9], nil)
	send(n1.gossipAddr(), noise, []byte("rgos\xff\xff"), []byte("rgos\x00\x04\x01\xff\xff\xff"), []byte("rgos\x00"), nil)
	udp, err := net.Dial("udp", n1.gossipAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	packets := func() {
		for kind := range 256 {
			// What gets past the cluster's name: memberlist's label is 244, a length, a text.
			packet := slices.Concat([]byte{244, 5}, []byte("roost"), []byte{byte(kind)}, noise[:kind])
			for _, text := range [][]byte{packet, packet[:len(packet)/2], noise[kind:][:1+kind]} {
				if _, err := udp.Write(text); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	missing := ""
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("counted too seldom at last: %q", missing)
		}
	})
	eventually(t, "all of it is counted", func() bool {
		packets() // a busy machine drops some
		text := n1.get("/metrics")
		for name, least := range map[string]float64{
			`roost_peer_refused_total{reason="bad_frame"}`: 40, `roost_peer_refused_total{reason="too_large"}`: 20,
			`roost_peer_refused_total{reason="version"}`: 10, `roost_peer_refused_total{reason="silent"}`: 20,
			"roost_gossip_streams_garbage_total": 20, "roost_gossip_packets_foreign_total": 100, "roost_gossip_complaints_total": 10,
		} {
			if metricIn(t, text, name) < least {
				missing = name
				return false
			}
		}
		missing = "that nothing is pending"
		return metricIn(t, text, "roost_peer_pending") == 0
	})
	if lines := n1.log.count("") - quiet; lines > 60 {
		t.Errorf("%d lines were logged:\n%s", lines, n1.log.String())
	}
	n1.linksTo(1)
	if text := n1.push(); !strings.Contains(text, `"outcome":"written","node":"n2"`) {
		t.Error(text)
	}
	for _, n := range []*process{n1, n2} {
		if left := metricIn(t, n.get("/metrics"), `roost_gossip_leaves_total{reason="dead"}`); left != 0 {
			t.Errorf("%v members were lost", left)
		}
	}
}

package gossip

import (
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
)

// TestGarbage: what strangers send to the port disturbs nobody, is counted, and is
// logged once in a while.
func TestGarbage(t *testing.T) {
	cfg := quick()
	cfg.LogEvery, cfg.StreamsMax = time.Minute, 16
	cfg.HelloTimeout = 200 * time.Millisecond
	a := startNode(t, cfg, "a", 1)
	cfg.Join = []string{a.addr()}
	b := startNode(t, cfg, "b", 1)
	eventually(t, "a and b meet", allSee("a#1 b#1", a, b), a, b)

	random := rand.New(rand.NewPCG(1, 2))
	garbage := func() []byte {
		b := make([]byte, 1+random.IntN(1500))
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return b
	}
	udp, err := net.Dial("udp", a.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	for i := range 3000 {
		packet := garbage()
		if i%2 == 0 { // one that gets past the label, as every kind of message
			packet[0] = byte(i/2) % 16
			packet, _ = memberlist.AddLabelHeaderToPacket(packet, cfg.Cluster)
		}
		if _, err := udp.Write(packet); err != nil {
			t.Fatal(err)
		}
		if i%50 == 0 {
			time.Sleep(time.Millisecond) // so that the socket's buffer is not all that is tested
		}
	}
	foreign, _ := memberlist.AddLabelHeaderToPacket([]byte{0}, "prod")
	for range 100 {
		_, _ = udp.Write(foreign)
	}
	for i := range 100 {
		conn, err := net.Dial("tcp", a.addr())
		if err != nil {
			t.Fatal(err)
		}
		switch i % 4 {
		case 0:
			_, _ = conn.Write(garbage())
		case 1: // says nothing, and is not heard for long
		case 2:
			_, _ = conn.Write(appendFrame(nil, garbage()[:1]))
		case 3: // a good hello, then garbage for memberlist
			q := question{cluster: cfg.Cluster, purpose: purposeStream, from: b.roster.self}
			_, _ = conn.Write(append(box{}.appendQuestion(nil, q), garbage()...))
			_ = conn.SetDeadline(time.Now().Add(20 * time.Millisecond))
			_, _ = io.Copy(io.Discard, conn)
		}
		defer conn.Close()
	}
	eventually(t, "all of it was seen", func() bool {
		s := a.Stats()
		return s.PacketsForeign > 100 && s.StreamsGarbage > 10 && s.StreamsDropped > 0 && s.Complaints > 0 && s.Refused[RefusedCluster] > 0
	}, a)
	sent := a.Stats().PacketsOut
	eventually(t, "a and b still know each other", func() bool {
		return allSee("a#1 b#1", a, b)() && a.Stats().PacketsOut > sent+4 // a probe and an answer or two
	}, a, b)
	c := startNode(t, quick(a.addr()), "c", 1)
	eventually(t, "a newcomer is welcome", allSee("a#1 b#1 c#1", a, b, c), a, b, c)
	if lines := len(linesOf(a.logs.String())); lines > 100 {
		t.Errorf("%d lines were logged:\n%s", lines, a.logs)
	}
}

// TestStreamIsLimited: one connection cannot make a node read without end.
func TestStreamIsLimited(t *testing.T) {
	here, there := net.Pipe()
	defer there.Close()
	tr := newTransport(Config{StreamBytesMax: 10, StreamsMax: 1}, quiet, &counters{}, &repeats{})
	s := tr.track(here, true)
	go func() { _, _ = there.Write(make([]byte, 20)) }()
	got, err := io.ReadAll(s)
	if len(got) != 10 || err != errStreamBytes {
		t.Error(len(got), err)
	}
	s.Close()
	s.Close()
	if tr.calls != 0 || len(tr.conns) != 0 {
		t.Error("it is not forgotten")
	}
}

package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/deliver"
	"github.com/roostpush/roost/session/gossip"
	"github.com/roostpush/roost/session/mailbox"
	"github.com/roostpush/roost/session/peer"
	"github.com/roostpush/roost/session/records"
	"github.com/roostpush/roost/session/replica"
	"github.com/roostpush/roost/session/route"
	"github.com/roostpush/roost/session/topics"
	"github.com/roostpush/roost/store"
)

func TestMain(m *testing.M) {
	code := m.Run()
	// goleak looks for half a second. memberlist does not wait for its probes when it is shut
	// down, and they take up to a second.
	err := goleak.Find()
	for end := time.Now().Add(time.Minute); err != nil && time.Now().Before(end); {
		err = goleak.Find()
	}
	if code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

var testKeeping = records.Config{QueueBytes: 4 << 20, BatchBytes: 64 << 10, AckTimeout: time.Minute, SettleAfter: time.Second, HandOverFacts: 100, HandOverPause: time.Millisecond}

// openStore opens a store for a node until the test ends.
func openStore(t testing.TB, node string) *store.Store {
	t.Helper()
	cfg := store.Default()
	cfg.Directory = t.TempDir()
	s, err := store.Open(cfg, node, slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// start runs a node's part of a cluster, with real links and real gossip.
func start(t *testing.T, node string, join ...string) *Cluster {
	t.Helper()
	s := Settings{Key: route.Key{1}, Gossip: gossip.Default(), Peer: peer.Default(), Route: route.Default(), Replica: replica.Default()}
	s.Keeping, s.DevicesMax = testKeeping, 1000
	s.Now, s.SteadyMS = time.Now, func() int64 { return time.Now().UnixMilli() }
	s.Gossip.Listen, s.Gossip.Join, s.Gossip.RejoinMin = "127.0.0.1:0", join, 50*time.Millisecond
	s.Peer.Listen = "127.0.0.1:0"
	self := session.Origin{Node: node, Epoch: 1}
	c, err := New(s, self, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	box := mailbox.New(mailbox.Default(), mailbox.Ports{NewID: func() session.ID { return session.ID{Origin: self} }, Now: s.SteadyMS, Hash: c.Hash, Keys: unreadKeys{}}) // nothing waits in it
	c.Homes(mailbox.HomesConfig{}, box)
	c.Attach(Node{Router: deliver.NewRouter(deliver.Default(), self, c.Sessions(), nil, c), Store: openStore(t, node), Topics: topics.New(topics.Default(), true, nil, c.TopicHomes())})
	if err := c.Start(context.Background(), "127.0.0.1:8081", "127.0.0.1:8080"); err != nil {
		t.Fatal(err)
	}
	return c
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: it never happened", what)
		}
	}
}

// pair is two nodes, of which b knows a device of a.
func pair(t *testing.T) (a, b *Cluster, memberA gossip.Member) {
	t.Helper()
	a = start(t, "a")
	b = start(t, "b", a.GossipAddr())
	t.Cleanup(b.Close)
	a.Sessions().Open(session.New("alice", "phone"))
	eventually(t, "b knows the device", func() bool { return there(b) })
	for _, m := range b.members() {
		if m.Node == "a" {
			memberA = m
		}
	}
	return a, b, memberA
}

func there(c *Cluster) bool { return c.Locate("alice", "phone").State == deliver.There }

// TestADeadNodeWhoseLinkSpeaks is a node that probes say is dead although it is not: its
// devices stay where they are until the link ends too.
func TestADeadNodeWhoseLinkSpeaks(t *testing.T) {
	a, b, memberA := pair(t)
	members{b}.Left(memberA, gossip.Dead)
	if !there(b) || !b.isLinkedTo(memberA.Origin()) || len(b.members()) != 2 {
		t.Fatalf("%+v, %d members", b.Locate("alice", "phone"), len(b.members()))
	}
	defer a.Close()
	a.pool.Close() // gossip goes on
	eventually(t, "with the link, its sessions go", func() bool { return b.Locate("alice", "phone").State == deliver.Nowhere })
	if _, ok := b.doubted.take(memberA.Origin()); ok {
		t.Error("it is doubted still")
	}
}

// TestADoubtedNodeIsBelievedAgain has the link end after the node is a member again: then
// that alone says nothing of its sessions.
func TestADoubtedNodeIsBelievedAgain(t *testing.T) {
	a, b, memberA := pair(t)
	defer a.Close()
	members{b}.Left(memberA, gossip.Dead)
	members{b}.Joined(memberA)
	incoming{b}.Down(memberA.Origin(), 0)
	if !there(b) {
		t.Errorf("%+v", b.Locate("alice", "phone"))
	}
}

// TestNodesThatAreForgottenAtOnce are those whose link is down, and those that said goodbye.
func TestNodesThatAreForgottenAtOnce(t *testing.T) {
	t.Run("it said goodbye", func(t *testing.T) {
		a, b, memberA := pair(t)
		defer a.Close()
		if asked := b.appendMembers(nil); !slices.Equal(asked, []string{"a"}) || b.homes.isMissing(0, time.Hour) {
			t.Errorf("it is a member: asked is %v", asked)
		}
		members{b}.Left(memberA, gossip.Left)
		if b.Locate("alice", "phone").State != deliver.Nowhere {
			t.Errorf("%+v", b.Locate("alice", "phone"))
		}
		// Gossip's list is another: here it has the node still, and mostly it loses it earlier.
		if asked := b.appendMembers(nil); len(asked) > 0 || !b.homes.isMissing(b.settings.SteadyMS(), time.Hour) {
			t.Errorf("it is gone: asked is %v", asked)
		}
	})
	t.Run("no link", func(t *testing.T) {
		a, b, memberA := pair(t)
		defer a.Close()
		a.pool.Close() // gossip goes on
		eventually(t, "the link is down", func() bool { return !b.isLinkedTo(memberA.Origin()) })
		if !there(b) {
			t.Error("a link that ends is no loss of the node")
		}
		members{b}.Left(memberA, gossip.Dead)
		if b.Locate("alice", "phone").State != deliver.Nowhere {
			t.Errorf("%+v", b.Locate("alice", "phone"))
		}
	})
}

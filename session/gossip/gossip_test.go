package gossip

import (
	"context"
	"errors"
	"testing"
)

func TestThreeNodesMeet(t *testing.T) {
	a := startNode(t, quick(), "a", 1)
	b := startNode(t, quick(a.addr()), "b", 7)
	c := startNode(t, quick(a.addr()), "c", 3)
	eventually(t, "all know all", allSee("a#1 b#7 c#3", a, b, c), a, b, c)
	if m, _ := a.roster.member("b"); m.PeerAddr != "127.0.0.1:1" || m.InternalAddr != "127.0.0.1:2" || m.GossipAddr != b.addr() || m.State != Active {
		t.Errorf("a knows %+v", m)
	}
	if ok, why := a.Ready(); !ok {
		t.Error(why)
	}

	if err := b.SetState(Draining); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the others see that b drains", func() bool {
		return a.told.has("draining b#7") && c.told.has("draining b#7")
	}, a, b, c)

	if err := b.Leave(context.Background()); err != nil {
		t.Fatal(err)
	}
	b.Close()
	eventually(t, "b left", func() bool { return a.told.has("left b#7 left") && c.told.has("left b#7 left") }, a, c)
	if s := a.Side(); s != (Side{Alive: 2, Expected: 2}) {
		t.Errorf("who left on purpose is expected back: %+v", s)
	}

	c.Close() // without a word
	eventually(t, "c died", func() bool { return a.told.has("left c#3 dead") }, a)
	if s := a.Side(); s != (Side{Alive: 1, Expected: 2}) || s.Minority() {
		t.Errorf("half of two is no minority: %+v", s)
	}
	a.told.check(t)
}

func TestLeaveIsReportedOnce(t *testing.T) {
	a := startNode(t, quick(), "a", 1)
	if err := a.Leave(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := a.Leave(context.Background()); err != nil {
		t.Fatal(err)
	}
	a.Close()
	a.Close()
	if err := a.Leave(context.Background()); err != nil {
		t.Error(err)
	}
	if err := a.SetState(Active); err == nil {
		t.Error("a closed node has a state")
	}
	a.Suspect("b")
}

func TestStartRefusesNonsense(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  func(*Config)
		self Member
	}{
		{"no node", nil, Member{Epoch: 1, PeerAddr: "x:1"}},
		{"no epoch", nil, Member{Node: "a", PeerAddr: "x:1"}},
		{"an epoch beyond", nil, Member{Node: "a", Epoch: EpochMax + 1, PeerAddr: "x:1"}},
		{"no peer address", nil, Member{Node: "a", Epoch: 1}},
		{"a long address", nil, Member{Node: "a", Epoch: 1, PeerAddr: "x:1", PublicAddr: string(make([]byte, 200))}},
		{"no cluster", func(c *Config) { c.Cluster = "" }, Member{Node: "a", Epoch: 1, PeerAddr: "x:1"}},
		{"a port that is taken", func(c *Config) { c.Listen = "127.0.0.1:1" }, Member{Node: "a", Epoch: 1, PeerAddr: "x:1"}},
		{"no keys file", func(c *Config) { c.KeysFile = "/nowhere/keys" }, Member{Node: "a", Epoch: 1, PeerAddr: "x:1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := quick()
			if c.name == "a port that is taken" {
				other := startNode(t, quick(), "other", 1)
				cfg.Listen = other.addr()
			} else if c.cfg != nil {
				c.cfg(&cfg)
			}
			g, err := Start(context.Background(), cfg, c.self, &recorder{}, quiet)
			if err == nil {
				g.Close()
				t.Fatal("it started")
			}
		})
	}
}

// TestSameIDTwice: the second refuses to start and names the first.
func TestSameIDTwice(t *testing.T) {
	a := startNode(t, quick(), "a", 4)
	b := startNode(t, quick(a.addr()), "b", 1)
	eventually(t, "a and b meet", allSee("a#4 b#1", a, b), a, b)
	for name, seed := range map[string]string{"asked itself": a.addr(), "told by another": b.addr()} {
		t.Run(name, func(t *testing.T) {
			_, err := Inquire(context.Background(), quick(seed), "a", quiet)
			var taken *TakenError
			if !errors.As(err, &taken) || taken.Addr != a.addr() || taken.Epoch != 4 || taken.Node != "a" {
				t.Errorf("inquire: %v", err)
			}
			n, err := tryNode(quick(seed), "a", 5)
			if err == nil {
				n.Close()
			}
			if !errors.As(err, &taken) || taken.Addr != a.addr() {
				t.Errorf("start: %v", err)
			}
		})
	}
	select {
	case o := <-a.Overtaken():
		t.Errorf("a was overtaken by one that did not start: %+v", o)
	default:
	}
	eventually(t, "the cluster is as it was", allSee("a#4 b#1", a, b), a, b)
}

// TestRestart: a process that died without a word comes back at once, on another port,
// with the epoch that its peers make it take.
func TestRestart(t *testing.T) {
	a := startNode(t, quick(), "a", 1)
	b := startNode(t, quick(a.addr()), "b", 5)
	eventually(t, "a and b meet", allSee("a#1 b#5", a, b), a, b)
	b.Close()

	f, err := Inquire(context.Background(), quick(a.addr()), "b", quiet)
	if err != nil || f != (Findings{Answered: 1, Epoch: 5}) {
		t.Fatal(f, err)
	}
	if n, err := tryNode(quick(a.addr()), "b", 5); err == nil {
		n.Close()
		t.Error("an epoch was taken twice")
	} else if stale := (*StaleError)(nil); !errors.As(err, &stale) || stale.Known != 5 {
		t.Error(err)
	}
	b2 := startNode(t, quick(a.addr()), "b", f.Epoch+1)
	eventually(t, "b is back", allSee("a#1 b#6", a, b2), a, b2)
	if a.told.has("joined b#6") && !a.told.has("left b#5 replaced") && !a.told.has("left b#5 dead") {
		t.Error(a.told.all())
	}
	if s := a.Side(); s != (Side{Alive: 2, Expected: 2}) {
		t.Errorf("%+v", s)
	}
	a.told.check(t)
}

// TestEpochIsRemembered: a node that joined after the death of a process still knows
// its epoch, and a node that started with too low a one is told.
func TestEpochIsRemembered(t *testing.T) {
	a := startNode(t, quick(), "a", 1)
	b := startNode(t, quick(a.addr()), "b", 9)
	eventually(t, "a and b meet", allSee("a#1 b#9", a, b), a, b)
	b.Close()
	eventually(t, "b died", allSee("a#1", a), a)
	c := startNode(t, quick(a.addr()), "c", 1)
	eventually(t, "c heard of b's epoch", func() bool { return c.HighestEpoch("b") == 9 }, c)

	reborn := startNode(t, quick(), "b", 1) // its disk is gone, and it finds nobody
	d := startNode(t, quick(c.addr(), reborn.addr()), "d", 1)
	eventually(t, "it is told", func() bool {
		select {
		case o := <-reborn.Overtaken():
			return o.Epoch == 9
		default:
			return false
		}
	}, reborn, d)
	if c.told.has("joined b#1") || a.told.has("joined b#1") {
		t.Error("a ghost was believed")
	}
}

package gossip

import (
	"context"
	"net"
	"net/netip"
	"path/filepath"
	"reflect"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"
)

// TestSplitHeals: two of five nodes are cut off for longer than memberlist remembers
// the dead; afterwards all find each other again, whoever was whose seed.
func TestSplitHeals(t *testing.T) {
	var net switchboard
	start := func(id string, join ...string) *node { return startNode(t, quick(join...), id, 1, net.tune) }
	a := start("a")
	b, c, d := start("b", a.addr()), start("c", a.addr()), start("d", a.addr())
	stays := quick(a.addr())
	stays.MinorityReady = true
	e := startNode(t, stays, "e", 1, net.tune)
	all := []*node{a, b, c, d, e}
	const whole = "a#1 b#1 c#1 d#1 e#1"
	eventually(t, "all meet", allSee(whole, all...), all...)

	net.cut([]*node{a, b, c}, []*node{d, e})
	eventually(t, "the sides part", func() bool {
		return allSee("a#1 b#1 c#1", a, b, c)() && allSee("d#1 e#1", d, e)()
	}, all...)
	eventually(t, "the smaller side says so", func() bool {
		ok, why := d.Ready()
		return !ok && why == "minority side: 2 of 5 nodes are reachable"
	}, all...)
	if ok, why := e.Ready(); !ok {
		t.Errorf("with minority_ready it is not ready: %s", why)
	}
	eventually(t, "the larger side is ready", func() bool { ok, _ := a.Ready(); return ok }, all...)
	eventually(t, "memberlist forgets the dead", func() bool {
		return known(a) == 3 && known(d) == 2
	}, all...)

	net.cut()
	eventually(t, "the sides meet", allSee(whole, all...), all...)
	eventually(t, "d is ready", func() bool { ok, _ := d.Ready(); return ok }, all...)
	for _, n := range all {
		n.told.check(t)
	}
}

// known returns how many names memberlist has not forgotten, the dead included. It has
// no call for that.
func known(n *node) int {
	field := reflect.ValueOf(n.list).Elem().FieldByName("numNodes")
	return int((*atomic.Uint32)(unsafe.Pointer(field.UnsafeAddr())).Load())
}

// TestTwoLiveNodesWithOneID: what a split lets happen, healing ends. The older one is
// told to stop, and nobody believes in it.
func TestTwoLiveNodesWithOneID(t *testing.T) {
	var net switchboard
	a := startNode(t, quick(), "a", 1, net.tune)
	b := startNode(t, quick(a.addr()), "b", 1, net.tune)
	eventually(t, "a and b meet", allSee("a#1 b#1", a, b), a, b)
	net.cut([]*node{a}, []*node{b})
	b2 := startNode(t, quick(), "b", 2, net.tune) // on a's side
	net.cut([]*node{a, b2}, []*node{b})
	c := startNode(t, quick(a.addr(), b2.addr()), "c", 1, net.tune)
	eventually(t, "the new b is known", allSee("a#1 b#2 c#1", a, b2, c), a, b2, c)

	net.cut()
	eventually(t, "the old b is told", func() bool {
		select {
		case o := <-b.Overtaken():
			return o.Epoch == 2
		default:
			return false
		}
	}, a, b, b2)
	select {
	case o := <-b2.Overtaken():
		t.Errorf("the newer one was told too: %+v", o)
	default:
	}
	eventually(t, "nobody believes in it", allSee("a#1 b#2 c#1", a, b2, c), a, b2, c)
	a.told.check(t)
}

// TestSuspect: a hint about a process that is gone is confirmed by its host, long
// before memberlist would notice: here it never would.
func TestSuspect(t *testing.T) {
	cfg := quick()
	cfg.ProbeInterval, cfg.SyncInterval = time.Minute, time.Hour
	a := startNode(t, cfg, "a", 1)
	cfg.Join = []string{a.addr()}
	b := startNode(t, cfg, "b", 1)
	eventually(t, "a and b meet", allSee("a#1 b#1", a, b), a, b)

	a.Suspect("b")
	a.Suspect("nobody")
	eventually(t, "b answers", func() bool { return a.Stats().HintsAlive == 1 }, a)
	if a.names() != "a#1 b#1" {
		t.Error("a live member was dropped for a hint")
	}
	b.Close()
	a.Suspect("b")
	eventually(t, "b is dead", func() bool { return a.told.has("left b#1 dead") }, a)
	if s := a.Stats(); s.HintsDead != 1 || s.HintsUndecided != 0 || s.Leaves[Dead] != 1 {
		t.Errorf("%+v", s)
	}
	a.told.check(t)
}

// TestSuspectRevoked: a host that says nobody listens, of a process that lives (a
// firewall may do that), is believed for as long as it says so.
func TestSuspectRevoked(t *testing.T) {
	cfg := quick()
	cfg.ProbeInterval = time.Minute
	var lie lying
	a := startNode(t, cfg, "a", 1, lie.tune)
	cfg.Join = []string{a.addr()}
	b := startNode(t, cfg, "b", 1)
	eventually(t, "a and b meet", allSee("a#1 b#1", a, b), a, b)
	lie.refuse(true)
	a.Suspect("b")
	eventually(t, "b is believed dead", func() bool { return a.told.has("left b#1 dead") }, a)
	lie.refuse(false)
	eventually(t, "b is back", allSee("a#1 b#1", a), a)
	if a.Stats().HintsRevoked == 0 { // counted before it is believed
		t.Error("nobody says why")
	}
	a.told.check(t)
}

// TestSuspectUndecided: silence decides nothing.
func TestSuspectUndecided(t *testing.T) {
	var net switchboard
	cfg := quick()
	cfg.ProbeInterval = time.Minute
	a := startNode(t, cfg, "a", 1, net.tune)
	cfg.Join = []string{a.addr()}
	b := startNode(t, cfg, "b", 1, net.tune)
	eventually(t, "a and b meet", allSee("a#1 b#1", a, b), a, b)
	net.cut([]*node{a}, []*node{b})
	a.Suspect("b")
	eventually(t, "it is left to memberlist", func() bool { return a.Stats().HintsUndecided == 1 }, a)
	if a.names() != "a#1 b#1" {
		t.Error("silence was taken for death")
	}
}

// lying is a network that can say that nobody listens.
type lying struct{ refused atomic.Bool }

func (l *lying) refuse(yes bool) { l.refused.Store(yes) }

func (l *lying) tune(t *transport) {
	dial := t.dial
	t.dial = func(ctx context.Context, addr string) (net.Conn, error) {
		if l.refused.Load() {
			return dial(ctx, unusedAddr)
		}
		return dial(ctx, addr)
	}
}

// unusedAddr is a port of loopback that is privileged and that nobody uses.
var unusedAddr = netip.AddrPortFrom(netip.MustParseAddr("127.255.255.254"), 1).String()

// TestTwins: two processes took one id and one epoch, because neither could see the
// other. Both are told once they can.
func TestTwins(t *testing.T) {
	files := []string{filepath.Join(t.TempDir(), "b"), filepath.Join(t.TempDir(), "twin")}
	cfg := quick()
	a := startNode(t, cfg, "a", 1)
	write(t, files[0], a.addr())
	write(t, files[1], "")
	cfg.JoinFile = files[0]
	b := startNode(t, cfg, "b", 1)
	eventually(t, "a and b meet", allSee("a#1 b#1", a, b), a, b)
	cfg.JoinFile = files[1]
	twin := startNode(t, cfg, "b", 1)
	write(t, files[1], a.addr())
	told := func(n *node, by string) func() bool {
		return func() bool {
			select {
			case o := <-n.Overtaken():
				return o == Overtaken{Epoch: 1, By: by}
			default:
				return false
			}
		}
	}
	eventually(t, "the second is told", told(twin, b.addr()), a, b, twin)
	write(t, files[0], twin.addr())
	eventually(t, "and so is who asks it", told(b, twin.addr()), a, b, twin)
	if m, _ := a.roster.member("b"); m.GossipAddr != b.addr() {
		t.Error("the second took the place of the first")
	}
}

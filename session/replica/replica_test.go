package replica

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

func named(account, device string) session.Address {
	return session.Address{Account: account, Device: device}
}

func devices(n int) (names []session.Address) {
	for i := range n {
		names = append(names, named(fmt.Sprint("a", i%7), fmt.Sprint("d", i)))
	}
	return names
}

func (c *cluster) agree(t *testing.T, names []session.Address) {
	t.Helper()
	if d := c.differences(names); len(d) > 0 {
		t.Errorf("%d differences:\n%s", len(d), strings.Join(d[:min(len(d), 10)], "\n"))
	}
}

func TestLoneChangeIsPushedAtOnce(t *testing.T) {
	c := newCluster(3, nil)
	c.quiet(200)
	phone := named("alice", "phone")
	c.nodes[0].connect(phone)
	c.flow() // and no tick
	c.agree(t, []session.Address{phone})
	c.nowMS++
	c.nodes[0].connect(named("alice", "tv"))
	c.nodes[0].connect(named("alice", "car"))
	c.flow()
	if d := c.differences([]session.Address{named("alice", "tv")}); len(d) == 0 {
		t.Error("a second change within batch_ms left alone")
	}
	before := c.sent["*wire.Delta"]
	c.tick(50)
	c.flow()
	c.agree(t, []session.Address{named("alice", "tv"), named("alice", "car")})
	if n := c.sent["*wire.Delta"] - before; n != 2 {
		t.Errorf("%d deltas for one batch to two peers", n)
	}
}

func TestDeviceMoves(t *testing.T) {
	c := newCluster(3, nil)
	phone := named("alice", "phone")
	c.nodes[0].connect(phone)
	c.quiet(200)
	c.nodes[1].skewMS = -3_600_000 // its clock is an hour behind: the version is above all the same
	c.nodes[1].connect(phone)
	c.flow() // delta, question, answer: without any tick
	if len(c.nodes[0].open) != 0 {
		t.Error("the older session was not displaced by the delta alone")
	}
	c.quiet(500)
	c.agree(t, []session.Address{phone})
	if s := c.nodes[0].Stats(); s.Displaced != 1 || s.Contests != 0 {
		t.Errorf("displaced %d, contests left %d", s.Displaced, s.Contests)
	}
	for _, n := range c.nodes {
		if got := n.accounts(phone); got != 1 {
			t.Errorf("%s: %d nodes have devices of the account", n.origin.Node, got)
		}
	}
}

// TestEqualVersions is two openings in the same millisecond on nodes that know nothing of
// each other: one of them, and not both, is displaced.
func TestEqualVersions(t *testing.T) {
	c := newCluster(2, nil)
	c.quiet(200)
	phone := named("alice", "phone")
	c.nodes[0].connect(phone)
	c.nodes[1].connect(phone)
	c.quiet(200)
	c.agree(t, []session.Address{phone})
	if len(c.nodes[0].open)+len(c.nodes[1].open) != 1 {
		t.Error("not exactly one session is left")
	}
}

func TestStaleEntryIsReasserted(t *testing.T) {
	c := newCluster(3, nil)
	phone := named("alice", "phone")
	c.quiet(200)
	c.cut[[2]string{"n0", "n1"}], c.cut[[2]string{"n1", "n0"}] = true, true
	c.cut[[2]string{"n1", "n2"}], c.cut[[2]string{"n2", "n1"}] = true, true
	c.nodes[1].skewMS = 3_600_000
	c.nodes[1].connect(phone)
	c.nodes[0].connect(phone)
	c.nodes[1].disconnect(phone)
	c.quiet(200)
	c.cut = map[[2]string]bool{}
	c.quiet(3000)
	c.agree(t, []session.Address{phone})
	if s := c.nodes[0].Stats(); s.Reasserted == 0 || len(c.nodes[0].open) != 1 {
		t.Errorf("re-asserted %d, sessions %d", s.Reasserted, len(c.nodes[0].open))
	}
	if s := c.nodes[0].Stats(); s.Skewed == 0 {
		t.Error("an hour ahead is no skew")
	}
}

// TestCollision is two live devices with one hash: no fight, and the loser comes back
// when the winner leaves.
func TestCollision(t *testing.T) {
	for _, account := range []string{"alice", "bob"} {
		c := newCluster(3, func(cfg *Config) { cfg.AuditMS = 1000 })
		c.quiet(200)
		one, two := named("alice", "same-1"), named(account, "same-2")
		c.nodes[0].connect(one)
		c.quiet(200)
		c.nodes[1].connect(two)
		c.quiet(30_000)
		a, b := c.nodes[0].Stats(), c.nodes[1].Stats()
		if len(c.nodes[0].open) != 1 || len(c.nodes[1].open) != 1 {
			t.Errorf("%s: a session was closed", account)
		}
		if a.Collisions != 1 || a.Reasserted+b.Reasserted+a.Displaced+b.Displaced != 0 {
			t.Errorf("%s: %+v", account, a)
		}
		c.nodes[1].disconnect(two)
		c.quiet(10_000)
		c.agree(t, []session.Address{one})
	}
}

func TestNewNodeLoadsEverything(t *testing.T) {
	c := newCluster(3, func(cfg *Config) { cfg.LogChanges, cfg.ChunkChanges, cfg.BatchChanges = 16, 7, 7 })
	names := devices(200)
	for i, name := range names {
		c.nodes[i%2].connect(name)
	}
	c.quiet(5000)
	c.agree(t, names)
	c.start(2, 2)
	if n := c.nodes[2]; n.Lacking() != 2 || c.nodes[0].Lacking() != 1 || fmt.Sprint(n.AppendLacking(nil)) != "[n0 n1]" {
		t.Errorf("started, it lacks %d: %v; the others lack %d", n.Lacking(), n.AppendLacking(nil), c.nodes[0].Lacking())
	}
	c.quiet(5000)
	c.agree(t, names)
	for _, n := range c.nodes {
		if n.Lacking() != 0 {
			t.Errorf("%s lacks %v", n.origin.Node, n.AppendLacking(nil))
		}
	}
	if s := c.nodes[2].Stats(); s.Swaps < 2 || s.Authors != 2 {
		t.Errorf("swaps %d, authors %d", s.Swaps, s.Authors)
	}
}

func TestLeftIsPulledAgain(t *testing.T) {
	c := newCluster(3, nil)
	names := devices(50)
	for _, name := range names {
		c.nodes[0].connect(name)
	}
	c.quiet(2000)
	c.nodes[1].Left(c.nodes[0].origin)
	if _, ok := c.nodes[1].table.Lookup(hash(names[0].String())); ok {
		t.Error("a dead node's set is still there")
	}
	if c.nodes[1].Lacking() != 0 {
		t.Error("a node that is no member is lacking")
	}
	c.quiet(3000)
	if s := c.nodes[1].Stats(); s.Authors != 1 {
		t.Error("a node that is no member is followed")
	}
	c.nodes[1].Joined(c.nodes[0].origin, c.nodes[1].now())
	if c.nodes[1].Lacking() != 1 {
		t.Error("a member that is back is not lacking, though nothing is known of it")
	}
	c.quiet(1000)
	c.agree(t, names)
	c.nodes[1].Left(session.Origin{Node: "n0", Epoch: 0})
	c.agree(t, names)
}

// TestRelay follows an author without a link to it, and gets its accounts back with the
// link.
func TestRelay(t *testing.T) {
	c := newCluster(3, func(cfg *Config) { cfg.RelayedChanges = 16 })
	c.cut[[2]string{"n0", "n1"}], c.cut[[2]string{"n1", "n0"}] = true, true
	c.lose("n0", "n1")
	names := devices(60)
	for _, name := range names {
		c.nodes[0].connect(name)
	}
	c.quiet(20_000)
	c.agree(t, names)
	for _, name := range names[:5] {
		c.nodes[0].disconnect(name)
	}
	c.quiet(5000)
	c.agree(t, names)
	if s := c.nodes[2].Stats(); s.Relayed < 2 || s.Suffixes == 0 || s.Snapshots == 0 {
		t.Errorf("relayed %d, suffixes %d, snapshots %d", s.Relayed, s.Suffixes, s.Snapshots)
	}
	if n1, n2 := c.nodes[1].accounts(names[10]), c.nodes[2].accounts(names[10]); n1 != 0 || n2 != 1 {
		t.Errorf("nodes of the account: %d relayed, %d with a link", n1, n2)
	}
	c.cut = map[[2]string]bool{}
	c.lose("n0", "n1")
	c.quiet(3000)
	c.agree(t, names)
	if n1 := c.nodes[1].accounts(names[10]); n1 != 1 {
		t.Errorf("nodes of the account: %d after there is a link", n1)
	}
}

// TestTableIsFull names what happens: what is there stays right, and what was left out
// comes when there is room.
func TestTableIsFull(t *testing.T) {
	c := newCluster(2, func(cfg *Config) { cfg.AuditMS = 1000 })
	c.nodes[1].table.(*twin).max = 30
	names := devices(50)
	for _, name := range names {
		c.nodes[0].connect(name)
	}
	c.quiet(3000)
	if s := c.nodes[1].Stats(); s.DroppedFull == 0 {
		t.Error("not counted")
	}
	c.nodes[1].table.(*twin).max = 1000
	c.quiet(8000)
	c.agree(t, names)
}

// TestTableStaysFull: as long as the table is too small nothing of what is in it goes,
// however often the rest is tried; the node knows that it lacks some; and when devices
// leave, those that were left out come in.
func TestTableStaysFull(t *testing.T) {
	const room = 30
	c := newCluster(3, func(cfg *Config) { cfg.AuditMS = 1000 })
	full := c.nodes[1]
	full.table.(*twin).max = room
	names := devices(50)
	for _, name := range names {
		c.nodes[0].connect(name)
	}
	c.quiet(1000)
	var there []session.Address
	for _, name := range names {
		address, _ := hashes(name)
		if _, ok := full.table.Lookup(address); ok {
			there = append(there, name)
		}
	}
	if len(there) != room {
		t.Fatalf("%d devices are in a table of %d", len(there), room)
	}
	for range 60 {
		c.quiet(250)
		c.agree(t, there)
	}
	if !full.Crowded() || !slices.Equal(full.AppendIncomplete(nil), []string{"n0"}) || full.Stats().Incomplete != 1 {
		t.Error("the node does not know that it lacks devices")
	}
	if heads := full.Heads(nil); slices.ContainsFunc(heads, func(h wire.Head) bool { return h.Author.Node == "n0" && h.Seq > 0 }) {
		t.Error("it would pass on a log of which it has a part")
	}
	for _, name := range names[:35] {
		c.nodes[0].disconnect(name)
	}
	c.quiet(8000)
	c.agree(t, names)
	if full.Crowded() {
		t.Error("the node still believes that it lacks devices")
	}
}

// TestNewerSnapshotIsTaken: a log that cannot be followed any more is loaded anew, although
// not all of it fits: what was there is no longer true.
func TestNewerSnapshotIsTaken(t *testing.T) {
	c := newCluster(2, func(cfg *Config) { cfg.AuditMS, cfg.LogChanges, cfg.BatchChanges = 1000, 16, 16 })
	full := c.nodes[1]
	full.table.(*twin).max = 30
	names := devices(40)
	for _, name := range names[:20] {
		c.nodes[0].connect(name)
	}
	c.quiet(1000)
	c.cut[[2]string{"n0", "n1"}] = true
	for i, name := range names {
		if i < 20 {
			c.nodes[0].disconnect(name)
		} else {
			c.nodes[0].connect(name)
		}
		c.tick(50)
	}
	delete(c.cut, [2]string{"n0", "n1"})
	c.quiet(10_000)
	c.agree(t, names)
	if full.Crowded() {
		t.Error("the node believes that it lacks devices")
	}
}

// TestClocks: a node hears once how far another's clock is off, and once that it is not.
func TestClocks(t *testing.T) {
	c := newCluster(2, nil)
	type news struct {
		node    string
		aheadMS int64
		skewed  bool
	}
	var heard []news
	c.nodes[0].Skewed = func(node string, aheadMS int64, skewed bool) { heard = append(heard, news{node, aheadMS, skewed}) }
	c.quiet(5000)
	c.nodes[1].skewMS = 3_600_000
	c.quiet(10_000)
	if ms := c.nodes[0].Stats().ClockMS; ms != 3_600_000 {
		t.Errorf("the clocks are %d ms apart", ms)
	}
	c.nodes[1].skewMS = 0
	c.quiet(5000)
	if !slices.Equal(heard, []news{{"n1", 3_600_000, true}, {"n1", 0, false}}) {
		t.Errorf("heard %v", heard)
	}
}

func TestMisroutedForgetsOnlyThatVersion(t *testing.T) {
	c := newCluster(2, nil)
	phone := named("alice", "phone")
	address, account := hashes(phone)
	c.nodes[0].connect(phone)
	c.quiet(200)
	n := c.nodes[1]
	used, _ := n.table.Lookup(address)
	c.nodes[0].connect(phone) // again
	c.quiet(200)
	if n.Misrouted(address, account, used) {
		t.Error("the newer entry is forgotten for an older one's sake")
	}
	c.agree(t, []session.Address{phone})
	used, _ = n.table.Lookup(address)
	if !n.Misrouted(address, account, used) || n.Stats().Misrouted != 1 {
		t.Error("the entry that was used stays")
	}
	if own, _ := c.nodes[0].table.Lookup(address); c.nodes[0].Misrouted(address, account, own) {
		t.Error("an own entry is forgotten")
	}
}

func TestMalformed(t *testing.T) {
	c := newCluster(2, nil)
	n0, peer := c.nodes[0], session.Origin{Node: "n1", Epoch: 1}
	ok := wire.Change{Address: 1, Account: 1, Version: 1}
	for name, m := range map[string]any{
		"not a message":     5,
		"delta, own log":    &wire.Delta{Author: n0.origin, First: 1, Changes: []wire.Change{ok}},
		"delta, no changes": &wire.Delta{Author: peer, First: 1},
		"delta, change 0":   &wire.Delta{Author: peer, Changes: []wire.Change{ok}},
		"delta, overflow":   &wire.Delta{Author: peer, First: 1<<64 - 1, Changes: []wire.Change{ok}},
		"delta, too long":   &wire.Delta{Author: peer, First: 1, Changes: make([]wire.Change, 2049)},
		"delta, version 0":  &wire.Delta{Author: peer, First: 1, Changes: []wire.Change{{Address: 1}}},
		"delta, version":    &wire.Delta{Author: peer, First: 1, Changes: []wire.Change{{Address: 1, Version: versionMax + 1}}},
		"delta, node":       &wire.Delta{Author: session.Origin{Node: "N!"}, First: 1, Changes: []wire.Change{ok}},
		"chunk, change":     &wire.SnapshotChunk{Author: peer, Seq: seqMax + 1},
		"heads, seq":        &wire.Heads{Heads: []wire.Head{{Author: peer, Seq: seqMax + 1}}},
		"chunk, own set":    &wire.SnapshotChunk{Author: n0.origin},
		"chunk, closed":     &wire.SnapshotChunk{Author: peer, Changes: []wire.Change{{Address: 1, Version: 1, Closed: true}}},
		"chunk, too long":   &wire.SnapshotChunk{Author: peer, Changes: make([]wire.Change, 2049)},
		"heads, too many":   &wire.Heads{Heads: make([]wire.Head, 2000)},
		"heads, node":       &wire.Heads{Heads: make([]wire.Head, 1)},
		"request, node":     &wire.LogRequest{},
		"question, name":    &wire.Question{},
		"answer":            &wire.Answer{Holding: 3},
	} {
		if err := n0.Receive("n1", m, c.nowMS); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := n0.Receive("n0", &wire.Heads{}, c.nowMS); !errors.Is(err, ErrMalformed) {
		t.Error("from itself")
	}
	stranger := &wire.Delta{Author: session.Origin{Node: "n9", Epoch: 1}, First: 1, Changes: []wire.Change{ok}}
	if err := n0.Receive("n1", stranger, c.nowMS); err != nil || n0.Stats().DroppedStrange != 1 {
		t.Error("a stranger's delta is not counted")
	}
}

func TestNextEpoch(t *testing.T) {
	heads := []wire.Head{{Author: session.Origin{Node: "a", Epoch: 7}}, {Author: session.Origin{Node: "b", Epoch: 9}}}
	for _, tc := range []struct {
		persisted uint64
		self      string
		want      uint64
	}{{0, "c", 1}, {3, "a", 8}, {8, "a", 9}, {0, "b", 10}} {
		if got := NextEpoch(tc.persisted, heads, tc.self); got != tc.want {
			t.Errorf("%+v: %d", tc, got)
		}
	}
}

func TestOutdated(t *testing.T) {
	c := newCluster(2, nil)
	var newer uint64
	c.nodes[1].Outdated = func(epoch uint64) { newer = epoch }
	for _, epoch := range []uint64{0, 1, 7} {
		heads := &wire.Heads{Heads: []wire.Head{{Author: session.Origin{Node: "n1", Epoch: epoch}}}}
		if err := c.nodes[1].Receive("n0", heads, c.nowMS); err != nil {
			t.Fatal(err)
		}
	}
	longer := &wire.Heads{Heads: []wire.Head{{Author: c.nodes[0].origin, Seq: 5}}}
	if err := c.nodes[0].Receive("n1", longer, c.nowMS); err != nil || c.nodes[0].Stats().Outdated != 1 {
		t.Error("a longer log under the same epoch is not noticed")
	}
	if s := c.nodes[1].Stats(); newer != 7 || s.Outdated != 1 {
		t.Errorf("newer epoch %d, counted %d", newer, s.Outdated)
	}
}

// TestLowerVersionAfterTombstone is a node that went above an entry of senseless version
// and forgot it: its log is believed in its order all the same.
func TestLowerVersionAfterTombstone(t *testing.T) {
	c := newCluster(3, func(cfg *Config) { cfg.DriftMS = 1000 })
	c.quiet(200)
	phone := named("alice", "phone")
	c.nodes[1].skewMS = 3_600_000
	c.nodes[1].connect(phone)
	c.flow()
	c.nodes[1].disconnect(phone)
	ahead := c.nodes[0].connect(phone).version
	c.nodes[0].disconnect(phone)
	c.quiet(200)
	for range 8 { // only its own table forgets
		c.nodes[0].table.Age()
		c.nodes[0].table.Sweep(1000)
	}
	if v := c.nodes[0].connect(phone).version; v >= ahead {
		t.Errorf("version %d is not below %d: the case is not met", v, ahead)
	}
	c.quiet(5000)
	c.agree(t, []session.Address{phone})
}

// TestOnline tells who waits for a device: of each opening, after it is in the table, and
// of a swap.
func TestOnline(t *testing.T) {
	c := newCluster(2, nil)
	phone := named("alice", "phone")
	address, _ := hashes(phone)
	c.nodes[0].connect(phone)
	c.nodes[1].online = nil
	c.quiet(500)
	c.nodes[0].disconnect(phone)
	c.nowMS += 100
	c.nodes[0].connect(phone)
	c.flow()
	want := fmt.Sprintf("[n0/* n0/%x]", address)
	if got := fmt.Sprint(c.nodes[1].online); got != want {
		t.Errorf("told %s, want %s", got, want)
	}
}

// TestOnlineOfWhatWasHidden has a device's open session on one node hidden by a newer tombstone of
// another, whose clock is ahead: once that goes, who waits for the device is told, also if there
// was no room to note which it is.
func TestOnlineOfWhatWasHidden(t *testing.T) {
	for _, order := range []string{"closing last", "opening last", "in a snapshot", "no room"} {
		t.Run(order, func(t *testing.T) {
			c := newCluster(3, func(cfg *Config) { cfg.HiddenMax = 1 })
			phone, tv := named("alice", "phone"), named("alice", "tv")
			address, account := hashes(phone)
			c.quiet(200)
			n := c.nodes[2]
			put := func(author string, first uint64, changes ...wire.Change) {
				d := wire.Delta{Author: session.Origin{Node: author, Epoch: 1}, First: first, Changes: changes}
				if err := n.Receive(author, &d, c.nowMS); err != nil {
					t.Fatal(err)
				}
			}
			older := wire.Change{Address: address, Account: account, Version: 1_000_100}
			newer := wire.Change{Address: address, Account: account, Version: 1_000_900}
			closed := newer
			closed.Closed = true
			want := fmt.Sprintf("/%x", address)
			switch order {
			case "closing last":
				put("n0", 1, older)
				put("n1", 1, newer, closed)
			case "opening last":
				put("n1", 1, newer, closed)
				put("n0", 1, older)
			case "in a snapshot":
				put("n1", 1, newer, closed)
				n.Left(session.Origin{Node: "n0", Epoch: 1})
				c.nodes[0].connect(phone)
				n.Joined(session.Origin{Node: "n0", Epoch: 1}, c.nowMS)
				c.flow()
			case "no room":
				x, y := hashes(tv)
				put("n0", 1, wire.Change{Address: x, Account: y, Version: 1_000_100})
				put("n1", 1, wire.Change{Address: x, Account: y, Version: 1_000_900}, wire.Change{Address: x, Account: y, Version: 1_000_900, Closed: true})
				put("n0", 2, older)
				put("n1", 3, newer, closed)
				want = "/*"
			}
			if e, _ := n.table.Lookup(address); !e.Closed || !n.table.Hides(address) {
				t.Fatalf("nothing is hidden: %+v", e)
			}
			n.online = nil
			for range 12 { // ages; nothing else happens
				c.nowMS += int64(c.cfg.AgeMS)
				n.Tick(c.nowMS)
			}
			if e, ok := n.table.Lookup(address); !ok || e.Closed {
				t.Fatalf("the tombstone is still there: %+v", e)
			}
			if !slices.Contains(n.online, want) {
				t.Errorf("told %q, want %q among them", n.online, want)
			}
		})
	}
}

// TestOnlineWhenANodeGoes tells everybody to look again: its entries may have hidden others.
func TestOnlineWhenANodeGoes(t *testing.T) {
	c := newCluster(2, nil)
	c.nodes[0].connect(named("alice", "phone"))
	c.quiet(500)
	c.nodes[1].online = nil
	c.nodes[1].Left(session.Origin{Node: "n0", Epoch: 1})
	if got := fmt.Sprint(c.nodes[1].online); got != "[n0/*]" {
		t.Errorf("told %s", got)
	}
}

// TestQuestionWaitsForLink has a session beaten by the entry of a node without a link: it
// is asked as soon as there is one, however long that took.
func TestQuestionWaitsForLink(t *testing.T) {
	c := newCluster(3, nil)
	c.quiet(200)
	phone := named("alice", "phone")
	c.nodes[0].connect(phone)
	c.quiet(200)
	c.cut[[2]string{"n0", "n1"}], c.cut[[2]string{"n1", "n0"}] = true, true
	c.lose("n0", "n1")
	c.nodes[1].connect(phone)
	c.quiet(10_000) // n0 learns of it through n2
	if len(c.nodes[0].open) != 1 || c.nodes[0].Stats().Questions == 0 {
		t.Fatal("the case is not met")
	}
	c.cut = map[[2]string]bool{}
	c.lose("n0", "n1")
	c.flow() // and no tick
	if len(c.nodes[0].open) != 0 {
		t.Error("the older session is still open")
	}
	c.quiet(500)
	c.agree(t, []session.Address{phone})
}

// TestHiddenLearnsItsAccount: a log that was passed on names no account, the author's own does.
func TestHiddenLearnsItsAccount(t *testing.T) {
	r := &Replica{cfg: Config{HiddenMax: 2}}
	r.hidden.noted = make(map[uint64]uint64)
	for _, account := range []uint64{0, 9, 0} {
		r.noteHiddenLocked(7, account)
	}
	if len(r.hidden.list) != 1 || r.hidden.noted[7] != 9 {
		t.Errorf("noted %v with accounts %v", r.hidden.list, r.hidden.noted)
	}
}

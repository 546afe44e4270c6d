package store

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/roostpush/roost/session"
)

// fact is one of a session of acme/phone on another node.
func fact(node string, version uint64, change func(*session.Fact)) *session.Fact {
	f := &session.Fact{Address: session.Address{Account: "acme", Device: "phone"}, Origin: session.Origin{Node: node, Epoch: 7},
		Number: version, Version: version, OpenedMS: int64(version)}
	if change != nil {
		change(f)
	}
	return f
}

func opening(f *session.Fact) {
	f.Detailed, f.UserAgent, f.Remote, f.Attrs = true, "ua "+f.Node, "10.0.0.9:1", []byte(`{"a":1}`)
}

func ending(f *session.Fact) { f.Closed, f.ClosedMS, f.CloseCode = true, f.OpenedMS+50, 1000 }

// mustKeep notes facts and waits until they can be read.
func mustKeep(t testing.TB, s *Store, list ...*session.Fact) {
	t.Helper()
	for _, f := range list {
		if !s.Keep(f) {
			t.Fatalf("not kept: %+v", f)
		}
	}
	mustFlush(t, s)
}

// TestNodesAgreeOnTheNewestSession keeps the facts of three nodes in every order: the
// highest version is the newest, and a node's own facts are no exception.
func TestNodesAgreeOnTheNewestSession(t *testing.T) {
	c := newClock()
	at := uint64(c.ms.Load())
	list := []*session.Fact{fact("n2", at+1, opening), fact("n3", at+2, opening), fact("n2", at+1, ending), fact("n9", at, opening)}
	for i := range 24 {
		order := slices.Clone(list)
		for n, rest := i, 4; rest > 1; rest-- {
			order[rest-1], order[n%rest] = order[n%rest], order[rest-1]
			n /= rest
		}
		s := mustOpen(t, testConfig("d"), c.now, vfs.NewMem())
		own := newSession("acme", "phone", 99, int64(at)+1000) // of the earliest version, though its clock is ahead
		own.Version = at - 1
		s.Opened(own, "own", "", nil)
		mustKeep(t, s, order...)
		rec := mustDevice(t, s, "acme", "phone")
		if rec.Node != "n3" || rec.UserAgent != "ua n3" || rec.Session != (session.Origin{Node: "n3", Epoch: 7}).Text(at+2) {
			t.Fatalf("order %d: %+v", i, rec)
		}
		_ = s.Close()
	}
}

// TestForeignSessionIsOpenWhileItsProcessLives ends with the last heartbeat of a process
// that is gone, also for a store that is opened later.
func TestForeignSessionIsOpenWhileItsProcessLives(t *testing.T) {
	c, fs := newClock(), vfs.NewMem()
	s := mustOpen(t, testConfig("d"), c.now, fs)
	mustKeep(t, s, fact("n2", uint64(c.ms.Load()), opening))
	if rec := mustDevice(t, s, "acme", "phone"); rec.Online() {
		t.Errorf("open at a process that nobody knows: %+v", rec)
	}
	n2 := session.Origin{Node: "n2", Epoch: 7}
	s.Living([]session.Origin{n2})
	c.advance(time.Minute)
	beatNow(t, s)
	if rec := mustDevice(t, s, "acme", "phone"); !rec.Online() || rec.SeenMS != c.ms.Load() || rec.Node != "n2" {
		t.Errorf("%+v", rec)
	}
	seen := c.ms.Load()
	check := func(when string) {
		t.Helper()
		c.advance(time.Minute)
		beatNow(t, s)
		if rec := mustDevice(t, s, "acme", "phone"); rec.Online() || rec.ClosedMS != seen || rec.CloseCode != 1006 {
			t.Errorf("%s: %+v, last seen %d", when, rec, seen)
		}
	}
	s.Living([]session.Origin{{Node: "n2", Epoch: 8}})
	check("a newer process of the node lives")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, testConfig("d"), c.now, fs)
	check("after a restart")
	// Who hands a fact over says until when its process lived; the later word counts.
	seen += 500
	mustKeep(t, s, fact("n2", 1, func(f *session.Fact) { f.SeenMS = seen }), fact("n2", 1, func(f *session.Fact) { f.SeenMS = seen - 2000 }))
	check("after a hand-over")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, testConfig("d"), c.now, fs)
	check("after a hand-over and a restart")
	s.Living([]session.Origin{n2})
	if rec := mustDevice(t, s, "acme", "phone"); !rec.Online() {
		t.Errorf("the process was there all the time: %+v", rec)
	}
}

// TestHeldIsReleased hands everything of some accounts over: in portions, and what has
// become newer stays.
func TestHeldIsReleased(t *testing.T) {
	c, fs := newClock(), vfs.NewMem()
	s := mustOpen(t, testConfig("d"), c.now, fs)
	var want []string
	for i := range 30 {
		account := fmt.Sprintf("a%02d", i)
		sess := newSession(account, "d", uint64(i+1), c.ms.Load())
		sess.Version = uint64(c.ms.Load()) + uint64(i)
		s.Opened(sess, "ua", "r:1", []byte("{}"))
		if i%2 == 1 {
			s.Closed(sess, c.ms.Load()+5, 1001)
			want = append(want, account)
		}
	}
	mustFlush(t, s)
	odd := func(account string) bool { return slices.Contains(want, account) }
	var all []Held
	for after := []byte(nil); ; {
		list, next, err := s.Held(after, 7, odd)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, list...)
		if after = next; next == nil {
			break
		}
	}
	if len(all) != len(want) {
		t.Fatalf("%d held, want %d", len(all), len(want))
	}
	for i, h := range all {
		if h.Account != want[i] || h.Node != "n1" || h.Epoch != s.Epoch() || h.UserAgent != "ua" || h.Remote != "r:1" || string(h.Attrs) != "{}" ||
			!h.Closed || h.CloseCode != 1001 || h.Version != uint64(c.ms.Load())+h.Number-1 {
			t.Fatalf("%+v", h)
		}
	}
	// One of them opens again, and another is gone already.
	again := newSession(want[0], "d", 1000, c.ms.Load()+9)
	again.Version = uint64(again.OpenedMS)
	s.Opened(again, "newer", "", nil)
	mustFlush(t, s)
	if n, err := s.Release(all[1:2]); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if n, err := s.Release(all); n != len(all)-2 || err != nil {
		t.Fatal(n, err)
	}
	if rec := mustDevice(t, s, want[0], "d"); rec.UserAgent != "newer" {
		t.Errorf("%+v", rec)
	}
	if n := countKeys(s, keyRecord); n != 30-len(want)+1 {
		t.Errorf("%d records are left", n)
	}
	// What comes after a release is a record of its own.
	mustKeep(t, s, fact("n2", uint64(c.ms.Load())+77, func(f *session.Fact) { f.Account = want[1]; f.Device = "d"; ending(f) }))
	if rec := mustDevice(t, s, want[1], "d"); rec.Node != "n2" || rec.UserAgent != "" {
		t.Errorf("%+v", rec)
	}
}

// TestEndWithoutOpeningIsSwept: the opening may be on another node's disk.
func TestEndWithoutOpeningIsSwept(t *testing.T) {
	c := newClock()
	cfg := testConfig("d")
	s := mustOpen(t, cfg, c.now, vfs.NewMem())
	s.Living(nil)
	mustKeep(t, s, fact("n2", uint64(c.ms.Load()), ending))
	s.Closed(newSession("acme", "tv", 1, c.ms.Load()), c.ms.Load()+1, 1000)
	mustFlush(t, s)
	c.advance(cfg.Retention + 2*cfg.SweepBucket)
	sweepNow(t, s)
	if n := countKeys(s, keyRecord) + countKeys(s, keyExpiry); n != 0 {
		t.Errorf("%d keys are left", n)
	}
}

// TestForeignHeartbeatsAreSwept with the last record that may refer to them.
func TestForeignHeartbeatsAreSwept(t *testing.T) {
	c := newClock()
	cfg := testConfig("d")
	s := mustOpen(t, cfg, c.now, vfs.NewMem())
	s.Living([]session.Origin{{Node: "n2", Epoch: 7}, {Node: "n3", Epoch: 1}})
	beatNow(t, s)
	s.Living([]session.Origin{{Node: "n3", Epoch: 1}})
	if n := countKeys(s, keyForeign); n != 2 {
		t.Fatalf("%d heartbeats", n)
	}
	c.advance(cfg.Retention + 3*cfg.SweepBucket)
	beatNow(t, s)
	sweepNow(t, s)
	if n := countKeys(s, keyForeign); n != 1 {
		t.Errorf("%d heartbeats are left, one process lives", n)
	}
}

// TestCommitted is told after the disk has it, and not before.
func TestCommitted(t *testing.T) {
	c, fs := newClock(), vfs.NewCrashableMem()
	s := mustOpen(t, testConfig("d"), c.now, fs)
	for range 3 {
		f := fact("n2", uint64(c.ms.Add(1)), opening)
		s.Keep(f)
		told := make(chan vfs.FS, 1)
		s.Committed(func() { told <- fs.CrashClone(vfs.CrashCloneCfg{}) })
		select {
		case <-told:
			t.Fatal("told before a commit")
		default:
		}
		mustFlush(t, s)
		after := mustOpen(t, testConfig("d"), c.now, <-told)
		if rec := mustDevice(t, after, "acme", "phone"); rec.OpenedMS != f.OpenedMS {
			t.Errorf("the disk has %+v", rec)
		}
		_ = after.Close()
	}
	// Nothing may wait: then it is told all the same.
	done := make(chan struct{})
	s.Committed(func() { close(done) })
	mustFlush(t, s)
	<-done
}

// TestOlderDirectory reads records as releases wrote them that knew one node only: they
// are this node's, of the epoch that they say, and any session since is newer.
func TestOlderDirectory(t *testing.T) {
	c, fs := newClock(), vfs.NewMem()
	s := mustOpen(t, testConfig("d"), c.now, fs)
	older := func(epoch, number uint64, openedMS int64, closed bool) []byte {
		v := []byte{0x11}
		if closed {
			v[0] |= 0x02
		}
		v = binary.AppendUvarint(binary.AppendUvarint(v, epoch), number)
		v = binary.AppendVarint(v, openedMS)
		v = append(v, 3, 'o', 'l', 'd', 0, 0)
		if closed {
			v = append(v, 10, 0xe8, 7) // 5 ms later, 1000
		}
		return v
	}
	opened := c.ms.Load()
	for _, r := range []struct {
		device string
		value  []byte
	}{
		// The clock was set back between the two: number and epoch decide.
		{"phone", older(1, 2, opened-5000, true)}, {"phone", older(1, 1, opened, false)}, {"tv", older(1, 3, opened+1_000_000, false)},
	} {
		if err := s.db.Merge(appendRecordKey(nil, "acme", r.device), r.value, pebble.Sync); err != nil {
			t.Fatal(err)
		}
	}
	c.advance(time.Second)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, testConfig("d"), c.now, fs)
	rec := mustDevice(t, s, "acme", "phone")
	if rec.Node != "n1" || rec.UserAgent != "old" || rec.ClosedMS != opened-5000+5 || rec.CloseCode != 1000 || rec.Session != (session.Origin{Node: "n1", Epoch: 1}).Text(2) {
		t.Errorf("%+v", rec)
	}
	if rec := mustDevice(t, s, "acme", "tv"); rec.Online() || rec.CloseCode != 1006 {
		t.Errorf("left open by an older epoch: %+v", rec)
	}
	list, _, err := s.Held(nil, 10, func(string) bool { return true })
	if err != nil || len(list) != 2 || list[0].Version != uint64(opened-5000) || list[0].Node != "n1" || list[0].Epoch != 1 || list[1].SeenMS < opened {
		t.Errorf("%v %+v", err, list)
	}
	sess := newSession("acme", "tv", 1, c.ms.Load())
	sess.Version = 1
	s.Opened(sess, "new", "", nil)
	mustFlush(t, s)
	if rec := mustDevice(t, s, "acme", "tv"); rec.UserAgent != "new" || !rec.Online() {
		t.Errorf("%+v", rec)
	}
	if above := s.VersionsAbove(); above < uint64(opened) {
		t.Errorf("versions begin above %d, a session was opened at %d", above, opened)
	}
}

func TestKeepAllocatesNothing(t *testing.T) {
	s := mustOpen(t, testConfig("d"), newClock().now, vfs.NewMem())
	f := fact("n2", 5, opening)
	f.SeenMS = 9
	if n := testing.AllocsPerRun(100, func() { s.Keep(f) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

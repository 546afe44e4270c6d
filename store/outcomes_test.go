package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/roostpush/roost/session"
)

// sweepOutcomesNow sweeps at the test's time.
func sweepOutcomesNow(t testing.TB, s *Store) {
	t.Helper()
	if err := s.sweepOutcomes(); err != nil {
		t.Fatal(err)
	}
}

func TestOutcomesGoWhenTheirTimeIsOver(t *testing.T) {
	c := newClock()
	cfg := testConfig("d")
	cfg.OutcomeRetention = 80 * time.Minute // ten minutes each
	s := mustOpen(t, cfg, c.now, vfs.NewMem())
	long := keptFor("a/long", 1, 1, "waits on")
	mustPost(t, s, long)
	var ids []session.ID
	for n := uint64(2); n <= 21; n++ {
		k := keptFor("a/short", 1, n, "x")
		mustPost(t, s, k)
		s.Settle(k.Address, k.ID, session.Acked, c.ms.Load())
		ids = append(ids, k.ID)
		mustPost(t, s, keptFor("a/other", 1, 1000+n, "x")) // the outcome is on disk
		c.advance(5 * time.Minute)
		sweepOutcomesNow(t, s)
	}
	// The last one ended five minutes ago, the first one a hundred.
	for i, id := range ids {
		age := time.Duration(len(ids)-i) * 5 * time.Minute
		if got := fatesOf(t, s, id) != ""; got != (age <= cfg.OutcomeRetention) {
			t.Errorf("outcome of %v ago: found %v", age, got)
		}
	}
	if n := countKeys(s, keyOutcome); n < 16 || n > 18 {
		t.Errorf("%d outcomes are on disk, 16 are to be found and a bucket may be older", n)
	}
	if got := fatesOf(t, s, long.ID); got != "a/long=queued@0" {
		t.Errorf("what waits longer than the retention: %s", got)
	}
	s.Settle(long.Address, long.ID, session.Expired, c.ms.Load())
	mustPost(t, s, keptFor("a/other", 1, 2000, "x"))
	if got := fatesOf(t, s, long.ID); got == "" {
		t.Error("the outcome of a message that waited for long is not found")
	}
	c.advance(3 * cfg.OutcomeRetention)
	if got := fatesOf(t, s, long.ID); got != "" {
		t.Errorf("found after its retention, before a sweep: %s", got)
	}
	sweepOutcomesNow(t, s)
	sweepOutcomesNow(t, s)
	if n := countKeys(s, keyOutcome); n != 0 {
		t.Errorf("%d outcomes are left in the end", n)
	}
	if st := s.MailStats(); st.Forgotten != 0 || st.Sweeps == 0 {
		t.Errorf("%+v", st)
	}
}

func TestTooManyOutcomesForgetTheOldest(t *testing.T) {
	c := newClock()
	cfg := testConfig("d")
	cfg.OutcomeRetention, cfg.OutcomeBytesMax = 80*time.Minute, 1<<20
	s := mustOpen(t, cfg, c.now, vfs.NewMem())
	n := uint64(0)
	var first, last session.ID
	for range 4 {
		// A device's name of 128 bytes that does not compress: 4,000 are half of the maximum.
		for range 40 {
			var list []session.Kept
			for i := range 100 {
				n++
				name := fmt.Sprintf("%032x%032x%032x%032x", n*0x9e3779b97f4a7c15, n*0xbf58476d1ce4e5b9, (n+uint64(i))*0x94d049bb133111eb, n*0xd6e8feb86659fd93)
				list = append(list, keptFor("a/"+name, 1, n, ""))
			}
			mustPost(t, s, list...)
			for _, k := range list {
				s.Settle(k.Address, k.ID, session.Acked, c.ms.Load())
				if last = k.ID; first == (session.ID{}) {
					first = k.ID
				}
			}
		}
		c.advance(10 * time.Minute)
	}
	mustPost(t, s, keptFor("a/d", 1, n+1, ""))
	if err := s.mail.db.Flush(); err != nil { // the estimate is of tables
		t.Fatal(err)
	}
	sweepOutcomesNow(t, s)
	if st := s.MailStats(); st.Forgotten != 1 {
		t.Errorf("%+v", st)
	}
	if got := fatesOf(t, s, first); got != "" {
		t.Errorf("the oldest outcome is still there: %s", got)
	}
	if got := fatesOf(t, s, last); got == "" {
		t.Error("the newest outcome was forgotten")
	}
	before := countKeys(s, keyOutcome)
	sweepOutcomesNow(t, s)
	if after := countKeys(s, keyOutcome); after != before {
		t.Errorf("%d outcomes, a moment later %d", before, after)
	}
}

func TestOutcomesOfADenseAndASparseStretch(t *testing.T) {
	c := newClock()
	cfg := testConfig("d")
	cfg.MailMemTableBytes, cfg.MailCacheBytes = 8<<20, 24<<20 // one group for all
	s := mustOpen(t, cfg, c.now, vfs.NewMem())
	var all []session.Kept
	for n := uint64(1); n < 1000; n += 1 + n/100 {
		for _, node := range []string{"n1", "n2"} {
			k := keptFor(fmt.Sprint("a/d", n%7), 1, n, "x")
			k.Node = node
			all = append(all, k)
		}
	}
	mustPost(t, s, all...)
	for i := range all {
		k := &all[(i*7919)%len(all)]
		s.Settle(k.Address, k.ID, session.Acked, c.ms.Load()+int64(k.Number))
	}
	mustPost(t, s, keptFor("b/d", 1, 5000, "x"))
	if n := countKeys(s, keyOutcome); n > 2*(1000>>outcomeShareBits+1) {
		t.Errorf("%d entries for %d outcomes of one group", n, len(all))
	}
	for _, k := range all {
		if got, want := fatesOf(t, s, k.ID), fmt.Sprintf("%s=acked@%d", k.Address, k.Number); got != want {
			t.Fatalf("%s: %q, want %q", k.ID.Text(), got, want)
		}
	}
}

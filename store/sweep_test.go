package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/roostpush/roost/session"
)

// beatNow writes a heartbeat at the test's time.
func beatNow(t testing.TB, s *Store) {
	t.Helper()
	if err := s.beat(pebble.Sync); err != nil {
		t.Fatal(err)
	}
}

func sweepNow(t testing.TB, s *Store) {
	t.Helper()
	if err := s.sweepDue(); err != nil {
		t.Fatal(err)
	}
}

// countKeys counts what is on disk under a first byte; -1 when it cannot.
func countKeys(s *Store, first byte) (n int) {
	db := s.db
	if strings.IndexByte("jkmnow", first) >= 0 {
		db = s.mail.db
	}
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{first}, UpperBound: []byte{first + 1}})
	if err != nil {
		return -1
	}
	for it.First(); it.Valid(); it.Next() {
		n++
	}
	if it.Close() != nil {
		return -1
	}
	return n
}

func TestSweepDeletesWhatIsOverAndKeepsTheRest(t *testing.T) {
	const day = 24 * time.Hour
	c := newClock()
	fs := vfs.NewMem()
	cfg := testConfig("d")
	cfg.Retention, cfg.SweepBucket, cfg.SweepEntriesMax = 10*day, day, 2
	s := mustOpen(t, cfg, c.now, fs)
	closed := func(device string, number uint64) {
		sess := newSession("a", device, number, c.ms.Load())
		s.Opened(sess, "", "", nil)
		s.Closed(sess, c.ms.Load(), 1000)
	}
	for i := range 5 {
		closed(fmt.Sprint("gone", i), uint64(1+i))
	}
	closed("returns", 10)
	s.Opened(newSession("a", "stays", 11, c.ms.Load()), "", "", nil)
	mustFlush(t, s)

	c.advance(8 * day)
	closed("returns", 20)
	mustFlush(t, s)
	sweepNow(t, s)
	if n := countKeys(s, keyRecord); n != 7 {
		t.Fatalf("%d records before any is due, want 7", n)
	}

	c.advance(4 * day)
	beatNow(t, s)
	if _, ok, _ := s.Device(session.Address{Account: "a", Device: "gone1"}); ok {
		t.Error("a record whose retention is over is still shown")
	}
	sweepNow(t, s)
	if n := countKeys(s, keyRecord); n != 2 {
		t.Errorf("%d records after the sweep, want 2", n)
	}
	if n := countKeys(s, keyExpiry); n != 2 {
		t.Errorf("%d index entries after the sweep, want one for each record", n)
	}
	if stays, returns := mustDevice(t, s, "a", "stays"), mustDevice(t, s, "a", "returns"); !stays.Online() || returns.Online() {
		t.Error("stays must be online, returns must not")
	}
	st := s.Stats()
	if st.Swept != 5 || st.Sweeps != 2 {
		t.Errorf("swept %d in %d sweeps, want 5 in 2", st.Swept, st.Sweeps)
	}

	// The process dies; the record it left open ends with its last heartbeat, and
	// the heartbeat goes when the record is gone.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	c.advance(8 * day)
	s = mustOpen(t, cfg, c.now, fs)
	sweepNow(t, s)
	if rec := mustDevice(t, s, "a", "stays"); rec.Online() || rec.CloseCode != 1006 {
		t.Errorf("left open by an older epoch: %+v", rec)
	}
	if n := countKeys(s, keyHeartbeat); n != 2 {
		t.Errorf("%d heartbeats, want 2", n)
	}
	c.advance(5 * day)
	beatNow(t, s)
	sweepNow(t, s)
	if n := countKeys(s, keyRecord) + countKeys(s, keyExpiry); n != 0 {
		t.Errorf("%d keys are left of records that are all over", n)
	}
	if n := countKeys(s, keyHeartbeat); n != 1 {
		t.Errorf("%d heartbeats, want only this epoch's", n)
	}
}

func TestSweepFollowsChangedSettings(t *testing.T) {
	const day = 24 * time.Hour
	for _, tt := range []struct {
		name                           string
		before, beforeB, after, afterB time.Duration
		end                            time.Duration // when the record must be off the disk
	}{
		{"longer retention", 5 * day, day, 20 * day, day, 22 * day},
		{"shorter retention", 20 * day, day, 5 * day, day, 22 * day},
		{"wider buckets", 5 * day, day, 5 * day, 4 * day, 14 * day},
		{"narrower buckets", 5 * day, 4 * day, 5 * day, time.Hour, 14 * day},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newClock()
			fs := vfs.NewMem()
			cfg := testConfig("d")
			cfg.Retention, cfg.SweepBucket = tt.before, tt.beforeB
			s := mustOpen(t, cfg, c.now, fs)
			sess := newSession("a", "d", 1, c.ms.Load())
			s.Opened(sess, "", "", nil)
			s.Closed(sess, c.ms.Load(), 1000)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			cfg.Retention, cfg.SweepBucket = tt.after, tt.afterB
			s = mustOpen(t, cfg, c.now, fs)
			begin := c.now()
			for c.now().Sub(begin) < tt.end {
				_, shown, err := s.Device(session.Address{Account: "a", Device: "d"})
				if err != nil {
					t.Fatal(err)
				}
				if due := c.now().Sub(begin) >= tt.after; shown == due {
					t.Fatalf("after %v: shown %v", c.now().Sub(begin), shown)
				}
				c.advance(12 * time.Hour)
				sweepNow(t, s)
			}
			if n := countKeys(s, keyRecord) + countKeys(s, keyExpiry); n != 0 {
				t.Errorf("%d keys are left after %v", n, tt.end)
			}
		})
	}
}

package store

import (
	"errors"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// waitingDB is a database of which the test says what waits.
type waitingDB struct {
	waiting  func() bool
	accepts  bool
	granted  int
	accepted pebble.CompactionGrantHandle
}

func (d *waitingDB) GetAllowedWithoutPermission() int { return 1 }

func (d *waitingDB) GetWaitingCompaction() (bool, pebble.WaitingCompaction) {
	return d.waiting(), pebble.WaitingCompaction{}
}

func (d *waitingDB) Schedule(h pebble.CompactionGrantHandle) bool {
	if !d.accepts {
		return false
	}
	d.granted++
	d.accepted = h
	return true
}

func newWaiting() (*compacting, *waitingDB) {
	c, d := newCompacting(), &waitingDB{accepts: true, waiting: func() bool { return false }}
	c.Register(2, d)
	c.begin()
	return c, d
}

// take takes the place, which must be free.
func take(t *testing.T, c *compacting) pebble.CompactionGrantHandle {
	t.Helper()
	ok, h := c.TrySchedule()
	if !ok {
		t.Fatal("refused, though nothing runs")
	}
	return h
}

// TestCompactingWaitsForTheStart: none runs while a database opens, and who was refused then
// is not forgotten.
func TestCompactingWaitsForTheStart(t *testing.T) {
	c, d := newCompacting(), &waitingDB{accepts: true}
	c.Register(2, d)
	if ok, _ := c.TrySchedule(); ok {
		t.Fatal("a compaction was let in before begin")
	}
	d.waiting = func() bool { return d.granted == 0 }
	c.begin()
	if d.granted != 1 {
		t.Fatalf("begin granted %d times to the one that waits, not once", d.granted)
	}
	c.begin()
	if ok, _ := c.TrySchedule(); ok {
		t.Fatal("a second begin gave away the place of the compaction that runs")
	}
	d.accepted.Done()
	take(t, c)
}

func TestCompactingOneAtATime(t *testing.T) {
	c, d := newWaiting()
	h := take(t, c)
	if ok, _ := c.TrySchedule(); ok {
		t.Fatal("a second compaction was let in")
	}
	d.waiting = func() bool { return d.granted == 0 }
	h.Done()
	if d.granted != 1 {
		t.Fatalf("the one that waits was granted %d times, not once", d.granted)
	}
	if ok, _ := c.TrySchedule(); ok {
		t.Fatal("a second compaction was let in beside the one that had waited")
	}
	d.accepted.Done()
	take(t, c)
}

// TestCompactingNoneIsForgotten: Pebble does not ask again after a refusal, so whoever is
// refused while the place is being given back has to get it.
func TestCompactingNoneIsForgotten(t *testing.T) {
	c, d := newWaiting()
	h := take(t, c)
	asked := 0
	d.waiting = func() bool {
		if asked++; asked > 1 {
			return true
		}
		if ok, _ := c.TrySchedule(); ok { // by another goroutine, just after this answer
			t.Error("let in while the place is being given back")
		}
		return false
	}
	h.Done()
	if d.granted != 1 {
		t.Fatalf("granted %d times, not once", d.granted)
	}
}

// TestCompactingDeclined: a database that says no to what it had asked for leaves the
// place free.
func TestCompactingDeclined(t *testing.T) {
	c, d := newWaiting()
	h := take(t, c)
	d.waiting, d.accepts = func() bool { return true }, false
	h.Done()
	take(t, c)
}

func TestCompactingEnds(t *testing.T) {
	c, d := newWaiting()
	h := take(t, c)
	c.Unregister()
	d.waiting = func() bool { return true }
	h.Done()
	if d.granted != 0 {
		t.Error("granted after the database was closed")
	}
	if ok, _ := c.TrySchedule(); ok {
		t.Error("let in after the database was closed")
	}
}

// TestCompactingUnregisterWaits: the database is not closed under a question.
func TestCompactingUnregisterWaits(t *testing.T) {
	c, d := newWaiting()
	h := take(t, c)
	closed, early := make(chan struct{}), false
	d.waiting = func() bool {
		go func() {
			c.Unregister()
			close(closed)
		}()
		eventually(t, "Unregister begun", func() bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.ended
		})
		select {
		case <-closed:
			early = true
		default:
		}
		return false
	}
	h.Done()
	<-closed
	if early {
		t.Error("Unregister returned while the database was being asked")
	}
}

// TestCompactsWhenWritesWait: writes that wait for a compaction do not wait for the quiet
// after the start to end.
func TestCompactsWhenWritesWait(t *testing.T) {
	s := mustOpen(t, testConfig("d"), newClock().now, vfs.NewMem())
	s.quiet.Stop()
	for _, db := range []*pebble.DB{s.db, s.mail.db} {
		done := make(chan error, 1)
		go func() {
			for range 40 { // tables of level 0, of which 32 stop writes
				if err := errors.Join(db.Set([]byte{keyEpoch + 100}, []byte("v"), pebble.NoSync), db.Flush()); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("writes wait for compactions that are not let begin")
		}
		if db.Metrics().Compact.Count == 0 {
			t.Error("nothing was compacted: the test shows nothing")
		}
	}
}

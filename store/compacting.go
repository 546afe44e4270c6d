package store

import (
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// compacting lets one database run one compaction at a time (pebble.CompactionScheduler).
//
// Pebble's own scheduler looks ten times a second whether more of them are allowed by now,
// and has to, since its limit moves. Ours does not: what may change is who waits, and every
// such change is a call of this type. So nothing here ticks: two databases that do nothing
// took a third of what an idle node cost.
//
// Whoever ends a compaction keeps its place while it asks the database for the next one.
// Who asks for the place meanwhile is refused, and Pebble does not come back by itself: so
// a refusal is remembered, and the database is asked once more.
//
// A new one has the place itself until begin: a node that was killed finds much to compact,
// and is to be up first.
type compacting struct {
	db pebble.DBForCompaction // set by Register, before all other calls

	mu      sync.Mutex
	running bool // a compaction has the place, or whoever ended one still asks
	refused bool // somebody was told to wait since the database was asked last
	asking  bool // a call of the database is under way
	ended   bool // by Unregister
	asked   sync.Cond
	begun   sync.Once
}

var (
	_ pebble.CompactionScheduler   = (*compacting)(nil)
	_ pebble.CompactionGrantHandle = (*compacting)(nil)
)

func newCompacting() *compacting {
	c := &compacting{running: true}
	c.asked.L = &c.mu
	return c
}

// begin lets compactions run. Any goroutine may call it, with no mutex of the database, once
// that is registered; the first call counts.
func (c *compacting) begin() { c.begun.Do(c.Done) }

// Register names the database. Pebble calls it once, when it opens.
func (c *compacting) Register(_ int, db pebble.DBForCompaction) { c.db = db }

// Unregister ends the granting. It returns when no call of the database is under way.
func (c *compacting) Unregister() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	for c.asking {
		c.asked.Wait()
	}
}

// TrySchedule takes the place if it is free. The database holds its mutexes.
func (c *compacting) TrySchedule() (bool, pebble.CompactionGrantHandle) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return false, nil
	}
	if c.running {
		c.refused = true
		return false, nil
	}
	c.running = true
	return true, c
}

// Done ends a compaction and gives its place to the next. It is called without a mutex of
// the database.
func (c *compacting) Done() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.ended {
		c.refused, c.asking = false, true
		c.mu.Unlock()
		next, _ := c.db.GetWaitingCompaction()
		next = next && c.db.Schedule(c)
		c.mu.Lock()
		c.asking = false
		c.asked.Broadcast()
		if next {
			return
		}
		if !c.refused {
			break
		}
	}
	c.running = false
}

// UpdateGetAllowedWithoutPermission is told of what may have moved Pebble's own limit. Ours
// stays.
func (c *compacting) UpdateGetAllowedWithoutPermission() {}

// Started is of no interest here.
func (c *compacting) Started() {}

// MeasureCPU is of no interest here.
func (c *compacting) MeasureCPU(pebble.CompactionGoroutineKind) {}

// CumulativeStats could slow a compaction down. Ours wait for others each half millisecond
// (see breath).
func (c *compacting) CumulativeStats(pebble.CompactionGrantHandleStats) {}

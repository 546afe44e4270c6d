package route

import "sync"

// graves is the queue of tombstones in the order in which they were made, so that
// letting them go costs nothing for the entries that live.
type graves struct {
	mu    sync.Mutex
	ages  uint64 // how many calls of Age one survives
	max   int
	age   uint64 // calls of Age so far
	kept  int
	plots []plot // oldest first
	spare []tomb // of a plot that was emptied
}

// tomb is a tombstone as its slot holds it, and which life of the author's number it
// is of: the number may be another set's by the time it is due.
type tomb struct {
	pair
	life uint32
}

// plot is up to plotSize tombstones of one age.
type plot struct {
	age   uint64
	tombs []tomb
}

const (
	plotSize  = 1024
	tombBytes = 24
)

func (g *graves) init(ages, max int) { g.ages, g.max = uint64(ages), max }

// keep queues a tombstone; false when there are too many.
func (g *graves) keep(t tomb) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.kept == g.max {
		return false
	}
	last := len(g.plots) - 1
	if last < 0 || g.plots[last].age != g.age || len(g.plots[last].tombs) == plotSize {
		tombs := g.spare
		if g.spare = nil; tombs == nil {
			tombs = make([]tomb, 0, plotSize)
		}
		g.plots = append(g.plots, plot{g.age, tombs})
		last++
	}
	g.plots[last].tombs = append(g.plots[last].tombs, t)
	g.kept++
	return true
}

// due takes tombstones that are old enough, as many as fit.
func (g *graves) due(dst []tomb) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.isDueLocked() {
		return 0
	}
	first := &g.plots[0]
	n := min(len(dst), len(first.tombs))
	rest := len(first.tombs) - n
	copy(dst, first.tombs[rest:])
	first.tombs = first.tombs[:rest]
	g.kept -= n
	if rest == 0 {
		g.spare = first.tombs
		*first = plot{}
		g.plots = g.plots[1:]
	}
	return n
}

func (g *graves) isDue() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.isDueLocked()
}

func (g *graves) isDueLocked() bool {
	return len(g.plots) > 0 && g.age-g.plots[0].age > g.ages
}

// bytes returns what the queue takes on Go's heap.
func (g *graves) bytes() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.plots) * plotSize * tombBytes
}

// Age makes every tombstone one older. Whoever owns the clock calls it at an even
// pace, once a second by default.
func (t *Table) Age() {
	t.graves.mu.Lock()
	t.graves.age++
	t.graves.mu.Unlock()
}

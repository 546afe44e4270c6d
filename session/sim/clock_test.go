package sim

import (
	"container/heap"
	"math/rand/v2"
)

// clock is the only time there is: events in order, those of one moment in the order in
// which they were planned. Nothing runs beside it, so a seed says everything.
type clock struct {
	now    int64 // microseconds
	count  uint64
	events events
	random *rand.Rand
}

type event struct {
	at    int64
	count uint64
	do    func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].count < e[j].count
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

const (
	ms     = int64(1000)
	second = 1000 * ms
)

// after plans something.
func (c *clock) after(delay int64, do func()) {
	c.count++
	heap.Push(&c.events, event{c.now + delay, c.count, do})
}

// run lets time pass.
func (c *clock) run(duration int64) {
	end := c.now + duration
	for len(c.events) > 0 && c.events[0].at <= end {
		e := heap.Pop(&c.events).(event)
		c.now = e.at
		e.do()
	}
	c.now = end
}

// between returns a random time.
func (c *clock) between(low, high int64) int64 { return low + c.random.Int64N(high-low+1) }

// chance is true so many times in a thousand.
func (c *clock) chance(thousandth float64) bool { return c.random.Float64()*1000 < thousandth }

package replica

import (
	"strconv"

	"github.com/roostpush/roost/session/wire"
)

// The delay of the logs is measured change by change, but not of every change: an author
// marks one that waits for its push, the oldest if nothing was left over by the push
// before, and the delta that takes it along says when it came about. So the tail of the
// figure is that of all changes, or longer.

// mark is a change of the own log that waits, and when it came about.
type mark struct {
	seq  uint64 // 0: none is marked
	atMS int64
}

// append appends a change to the own log. Its caller holds mu.
func (o *own) append(c wire.Change, nowMS int64) {
	o.log.append(c)
	if o.marked.seq == 0 {
		o.marked = mark{o.log.head, nowMS}
	}
}

// take returns the time of the mark if it is among the changes up to pushed, and removes
// it; 0: it is not.
func (m *mark) take(pushed uint64) (atMS uint64) {
	if m.seq == 0 || m.seq > pushed {
		return 0
	}
	atMS = uint64(max(m.atMS, 0))
	*m = mark{}
	return atMS
}

// DelayStats is a histogram of how long changes of other nodes took until they were in
// this node's table, by both nodes' clocks: with clocks that differ it shows by how much.
// What was fetched again, because a delta was lost or a node joined, is not in it.
type DelayStats struct {
	Delays   DelayBuckets `metric:"roost_replica_delay_seconds_bucket" label:"le" doc:"deltas of other nodes by the time from their oldest change until they were in the table, by both nodes' clocks"`
	DelaySum float64      `metric:"roost_replica_delay_seconds_sum" doc:"the same times, added up"`
	Delayed  uint64       `metric:"roost_replica_delay_seconds_count" doc:"deltas of which the time is known"`
}

// delayBoundsMS are the upper bounds of all buckets but the last, milliseconds. Clocks are
// read in milliseconds, so there is nothing below one.
var delayBoundsMS = [...]int64{1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 1000, 2000, 5000}

// DelayBuckets are counts up to and with each bound.
type DelayBuckets [len(delayBoundsMS) + 1]uint64

// Label is the value of the label le, in seconds.
func (DelayBuckets) Label(i int) string {
	if i == len(delayBoundsMS) {
		return "+Inf"
	}
	return strconv.FormatFloat(float64(delayBoundsMS[i])/1000, 'g', -1, 64)
}

// observe counts one delay. A negative one, of clocks that differ, counts as none.
func (s *DelayStats) observe(ms int64) {
	ms = max(ms, 0)
	s.Delayed++
	s.DelaySum += float64(ms) / 1000
	for i := len(delayBoundsMS); i >= 0 && (i == len(delayBoundsMS) || ms <= delayBoundsMS[i]); i-- {
		s.Delays[i]++
	}
}

package presence

import "sync/atomic"

// Stats is what a Presence has counted since it was made. Each field's metric tag is the
// name under which it is published.
type Stats struct {
	Watchers   uint64 `metric:"roost_presence_watchers" doc:"sessions of this node that watch presence now"`
	Devices    uint64 `metric:"roost_presence_devices" doc:"devices of watched accounts that are followed now"`
	Events     uint64 `metric:"roost_presence_events_total" doc:"events sent to watchers"`
	Deferred   uint64 `metric:"roost_presence_events_deferred_total" doc:"events not sent because events_max were on their way to the watcher: it is told how things are once it has taken those"`
	Lost       uint64 `metric:"roost_presence_events_lost_total" doc:"events for which a loop's outbox had no room: the watcher is told how things are later"`
	Refused    uint64 `metric:"roost_presence_refused_total" doc:"subscriptions answered overloaded, for watchers_max or account_watchers_max"`
	Dropped    uint64 `metric:"roost_presence_devices_dropped_total" doc:"devices of watched accounts not followed, for devices_max or entries_max"`
	Looks      uint64 `metric:"roost_presence_looks_total" doc:"times that a watched account's devices were looked up"`
	Paced      uint64 `metric:"roost_presence_ticks_paced_total" doc:"ticks that left accounts to the next, for events_per_tick or accounts_per_tick"`
	Sweeps     uint64 `metric:"roost_presence_sweeps_total" doc:"times that all watched accounts became due: snapshots swapped in, nodes lost"`
	Questions  uint64 `metric:"roost_presence_questions_total" doc:"times that the names of a watched account's devices were asked for"`
	Incomplete uint64 `metric:"roost_presence_questions_incomplete_total" doc:"of those the ones that not every node answered; they are repeated"`
}

type counters struct {
	events, deferred, lost, refused, dropped, looks, paced, sweeps, questions, incomplete atomic.Uint64
}

// Stats returns the counters. Each is exact; together they are not of one moment.
func (p *Presence) Stats() Stats {
	c := &p.count
	return Stats{
		Watchers: uint64(max(0, p.watchers.Load())), Devices: uint64(max(0, p.entries.Load())),
		Events: c.events.Load(), Deferred: c.deferred.Load(), Lost: c.lost.Load(), Refused: c.refused.Load(), Dropped: c.dropped.Load(),
		Looks: c.looks.Load(), Paced: c.paced.Load(), Sweeps: c.sweeps.Load(),
		Questions: c.questions.Load(), Incomplete: c.incomplete.Load(),
	}
}

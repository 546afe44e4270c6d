package deliver

import (
	"sync/atomic"

	"github.com/roostpush/roost/session"
)

// Stats is what a router has counted since it was made. Each field's metric tag is
// the name under which it is published; Outcomes is one counter for each outcome,
// by the label outcome. Everything that is not delivered is counted here by its
// outcome, except what is sent with WaitNone to one device: the reactor counts what
// it drops of that.
type Stats struct {
	Messages       uint64                       `metric:"roost_deliver_messages_total" doc:"messages accepted for delivery"`
	Outcomes       [session.OutcomeCount]uint64 `metric:"roost_deliver_outcomes_total" doc:"addressees of messages by outcome"`
	Untracked      uint64                       `metric:"roost_deliver_untracked_total" doc:"messages handed to a socket with wait=none, whose outcome nobody asked for"`
	Moved          uint64                       `metric:"roost_deliver_moved_total" doc:"sends repeated on a newer connection of the device, because the older one was gone"`
	Forwarded      uint64                       `metric:"roost_deliver_forwarded_total" doc:"messages forwarded to another node, one for each node"`
	Taken          uint64                       `metric:"roost_deliver_taken_total" doc:"messages that other nodes forwarded here"`
	Misrouted      uint64                       `metric:"roost_deliver_misrouted_total" doc:"forwarded messages whose node did not hold the device: the table was behind, and is asked once more"`
	Collisions     uint64                       `metric:"roost_deliver_collisions_total" doc:"of those the ones whose node holds another device with the same hash, so that the table is right"`
	SeekRefused    uint64                       `metric:"roost_deliver_seeking_refused_total" doc:"pushes that were offline at once, because seeking_max of them waited for a device to turn up"`
	Unsure         uint64                       `metric:"roost_deliver_unsure_total" doc:"pushes to a device that the table does not have that were overloaded instead of offline, because it had no room for some devices"`
	Stalls         uint64                       `metric:"roost_deliver_stalls_total" doc:"times a paced push went on past receivers that took nothing for a tick"`
	Attempts       uint64                       `metric:"roost_deliver_attempts_total" doc:"attempts at kept messages; their outcomes are among roost_deliver_outcomes_total"`
	Cancels        uint64                       `metric:"roost_deliver_cancels_total" doc:"cancel frames sent to devices: another one acked first, or the message was withdrawn"`
	PingsForgotten uint64                       `metric:"roost_deliver_pings_forgotten_total" doc:"pings to roost.raw devices of which only their own pong counts, because more were on their way than are remembered"`
	AcksUnknown    uint64                       `metric:"roost_deliver_acks_unknown_total" doc:"acks of a message whose others are still awaited, that came twice or before it was sent there"`
	AcksForeign    uint64                       `metric:"roost_deliver_acks_foreign_total" doc:"acks refused because the message was for another device"`
	AcksAwaited    uint64                       `metric:"roost_deliver_acks_awaited" doc:"device acks awaited now"`
	FanOut         uint64                       `metric:"roost_deliver_fan_out" doc:"sends of pushes to topics and to everybody that may be on their way now"`
	FanOutRefused  uint64                       `metric:"roost_deliver_fan_out_refused_total" doc:"pushes to topics and to everybody that were overloaded because of fan_out_max"`
	Paced          uint64                       `metric:"roost_deliver_paced" doc:"pushes being paced now"`
}

type counters struct {
	attempts, cancels, pingsForgotten, forwarded, taken, misrouted, collisions, seekingRefused, unsure atomic.Uint64

	fanOutRefused, messages, untracked, moved, stalls, acksUnknown, acksForeign atomic.Uint64

	outcomes [session.OutcomeCount]atomic.Uint64
}

// Stats returns the counters. Each is exact; together they are not of one moment.
func (r *Router) Stats() Stats {
	c := &r.count
	s := Stats{
		Messages:       c.messages.Load(),
		Untracked:      c.untracked.Load(),
		Moved:          c.moved.Load(),
		Forwarded:      c.forwarded.Load(),
		Attempts:       c.attempts.Load(),
		Cancels:        c.cancels.Load(),
		PingsForgotten: c.pingsForgotten.Load(),
		Taken:          c.taken.Load(),
		Misrouted:      c.misrouted.Load(),
		Collisions:     c.collisions.Load(),
		SeekRefused:    c.seekingRefused.Load(),
		Unsure:         c.unsure.Load(),
		Stalls:         c.stalls.Load(),
		AcksUnknown:    c.acksUnknown.Load(),
		AcksForeign:    c.acksForeign.Load(),
		AcksAwaited:    uint64(r.acks.awaited.Load()),
		FanOut:         uint64(max(0, r.fanned.Load())),
		FanOutRefused:  c.fanOutRefused.Load(),
	}
	for i := range s.Outcomes {
		s.Outcomes[i] = c.outcomes[i].Load()
	}
	r.paced.mu.Lock()
	s.Paced = uint64(len(r.paced.deliveries))
	r.paced.mu.Unlock()
	return s
}

package relay

import "sync/atomic"

// Stats is what a relay has counted since it was made. Each field's metric tag is
// the name under which it is published.
type Stats struct {
	Sent       uint64 `metric:"roost_relay_sent_total" doc:"messages from devices handed to delivery"`
	Refused    uint64 `metric:"roost_relay_refused_total" doc:"messages from devices that were refused, each answered with the reason unless it came over roost.raw"`
	Overloaded uint64 `metric:"roost_relay_overloaded_total" doc:"refused because pending_max was reached"`
	Expired    uint64 `metric:"roost_relay_expired_total" doc:"messages from devices that had no outcome for every addressee in time"`
	Kept       uint64 `metric:"roost_relay_kept_total" doc:"messages from devices with ttl_ms above 0 handed to the mailbox"`
	NotKept    uint64 `metric:"roost_relay_not_kept_total" doc:"of those the ones that the mailbox refused, each answered with the reason"`
	Pending    uint64 `metric:"roost_relay_pending" doc:"messages whose senders await a result now"`
}

type counters struct{ sent, refused, overloaded, expired, kept, notKept atomic.Uint64 }

// Stats returns the counters. Each is exact; together they are not of one moment.
func (r *Relay[D]) Stats() Stats {
	c := &r.count
	return Stats{
		Sent:       c.sent.Load(),
		Refused:    c.refused.Load(),
		Overloaded: c.overloaded.Load(),
		Expired:    c.expired.Load(),
		Kept:       c.kept.Load(),
		NotKept:    c.notKept.Load(),
		Pending:    uint64(max(0, r.length.Load())),
	}
}

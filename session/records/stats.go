package records

import "sync/atomic"

// Stats is what became of facts that belong to another node, or came from one.
type Stats struct {
	Queued       int        `metric:"roost_keep_queued_bytes" doc:"facts that wait to be kept by the homes of their accounts, bytes"`
	Sent         uint64     `metric:"roost_keep_sent_total" doc:"facts sent to the homes of their accounts"`
	Acknowledged uint64     `metric:"roost_keep_acknowledged_total" doc:"facts that are on the disk of the home"`
	RefusedThere uint64     `metric:"roost_keep_refused_by_home_total" doc:"facts for which the home had no room"`
	LateAnswers  uint64     `metric:"roost_keep_late_answers_total" doc:"answers of homes that nobody waits for any more"`
	StoodIn      ByStanding `metric:"roost_keep_stood_in_total" label:"reason" doc:"facts kept here in place of the home, by reason; they are handed over later"`
	Lost         uint64     `metric:"roost_keep_lost_total" doc:"facts that this node had no room for either"`
	Received     uint64     `metric:"roost_keep_received_total" doc:"facts of other nodes noted here"`
	Refused      uint64     `metric:"roost_keep_refused_total" doc:"facts of other nodes refused because the journal was full; those nodes keep them"`
}

// ByStanding is one counter for each reason to stand in.
type ByStanding [standings - 1]uint64

// Label is the value of the label reason for the counter i.
func (ByStanding) Label(i int) string {
	return [standings - 1]string{"unlinked", "queue_full", "late", "refused"}[i]
}

type counts struct {
	sent, acknowledged, refusedThere, lateAnswers, lost, received, refused atomic.Uint64

	stoodIn [standings]atomic.Uint64
}

// Stats returns the counters. Each is exact; together they are not of one moment.
func (k *Keeper) Stats() Stats {
	n := &k.count
	s := Stats{
		Queued: k.Queued(),
		Sent:   n.sent.Load(), Acknowledged: n.acknowledged.Load(), RefusedThere: n.refusedThere.Load(), LateAnswers: n.lateAnswers.Load(),
		Lost: n.lost.Load(), Received: n.received.Load(), Refused: n.refused.Load(),
	}
	for i := range s.StoodIn {
		s.StoodIn[i] = n.stoodIn[i+1].Load()
	}
	return s
}

package cluster

import "github.com/roostpush/roost/session/records"

// KeepStats is what became of facts that belong to another node, or came from one.
type KeepStats struct {
	records.Stats
	records.AuditStats

	Pending      int    `metric:"roost_keep_hand_over_pending" doc:"1: there may be facts here that belong elsewhere"`
	HandedOver   uint64 `metric:"roost_keep_handed_over_total" doc:"facts that were on this disk and are on the home's now"`
	Passes       uint64 `metric:"roost_keep_passes_total" doc:"times that the records were looked through for facts that belong elsewhere"`
	PassesFailed uint64 `metric:"roost_keep_passes_unfinished_total" doc:"of those, the ones after which some were still here"`
}

// keepStats returns the counters.
func (c *Cluster) keepStats() KeepStats {
	s := KeepStats{
		Stats: c.keeper.Stats(), AuditStats: c.auditor.Stats(),
		HandedOver: c.handing.handedOver.Load(), Passes: c.handing.passes.Load(), PassesFailed: c.handing.unfinished.Load(),
	}
	if c.handing.pending() {
		s.Pending = 1
	}
	return s
}

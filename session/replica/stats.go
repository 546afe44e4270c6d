package replica

// Stats is what a replica has counted since it was made. Each field's metric tag is
// the name under which it is published. Whatever is dropped is counted here, and every
// drop says who repairs it.
type Stats struct {
	Opened  uint64 `metric:"roost_replica_opened_total" doc:"own sessions opened, re-assertions included"`
	Closed  uint64 `metric:"roost_replica_closed_total" doc:"own sessions closed"`
	Pushes  uint64 `metric:"roost_replica_pushes_total" doc:"deltas of the own log given to links"`
	Unsent  uint64 `metric:"roost_replica_unsent_total" doc:"messages a link had no room for; comparing heads repairs it"`
	Overrun uint64 `metric:"roost_replica_overrun_total" doc:"changes that left the own log before they were pushed; peers get a snapshot"`

	Deltas  uint64 `metric:"roost_replica_deltas_total" doc:"deltas received"`
	Changes uint64 `metric:"roost_replica_changes_total" doc:"changes of other nodes applied"`
	Old     uint64 `metric:"roost_replica_old_total" doc:"changes received again"`
	DelayStats
	Gaps       uint64 `metric:"roost_replica_gaps_total" doc:"deltas that came before what precedes them"`
	Asked      uint64 `metric:"roost_replica_asked_total" doc:"requests for a log sent"`
	Suffixes   uint64 `metric:"roost_replica_suffixes_total" doc:"peers helped with changes"`
	Snapshots  uint64 `metric:"roost_replica_snapshots_total" doc:"peers helped with a snapshot"`
	Relayed    uint64 `metric:"roost_replica_relayed_total" doc:"peers helped with another node's log, of the two above"`
	Swaps      uint64 `metric:"roost_replica_swaps_total" doc:"snapshots loaded and swapped in"`
	Abandoned  uint64 `metric:"roost_replica_abandoned_total" doc:"snapshots given up half loaded, to be asked for again"`
	Joined     uint64 `metric:"roost_replica_joined_total" doc:"nodes or newer epochs of nodes that became members"`
	Left       uint64 `metric:"roost_replica_left_total" doc:"nodes whose set was dropped"`
	Reasserted uint64 `metric:"roost_replica_reasserted_total" doc:"own sessions opened again because a stale entry beat them"`
	Displaced  uint64 `metric:"roost_replica_displaced_total" doc:"own sessions to be closed because the device is on another node"`
	Questions  uint64 `metric:"roost_replica_questions_total" doc:"questions whether a node holds a device"`
	Answers    uint64 `metric:"roost_replica_answers_total" doc:"such questions answered"`
	Collisions uint64 `metric:"roost_replica_collisions_total" doc:"live devices whose hash another device has on another node; they are misrouted until one leaves"`
	Misrouted  uint64 `metric:"roost_replica_misrouted_total" doc:"entries closed because their node did not hold the device"`
	Skewed     uint64 `metric:"roost_replica_skewed_total" doc:"openings with a version ahead of this node's clock by more than skew_ms"`
	Outdated   uint64 `metric:"roost_replica_outdated_total" doc:"times a peer knew a newer epoch of this node or a longer log, so that it must start anew"`
	Missing    uint64 `metric:"roost_replica_missing_total" doc:"own sessions the audit found without an entry"`
	Revealed   uint64 `metric:"roost_replica_revealed_total" doc:"open sessions that a tombstone had hidden and that came to light when it went"`
	Unhidden   uint64 `metric:"roost_replica_unhidden_total" doc:"of those the ones that could not be noted, since hidden_max were; mailboxes look after everybody instead"`
	Audits     uint64 `metric:"roost_replica_audits_total" doc:"audits of the own sessions finished"`

	DroppedStrange   uint64 `metric:"roost_replica_dropped_strange_total" doc:"messages about a node or an epoch that is no member; asked for when it joins"`
	DroppedEarly     uint64 `metric:"roost_replica_dropped_early_total" doc:"changes for which there was no room before their turn; asked for again"`
	DroppedChunks    uint64 `metric:"roost_replica_dropped_chunks_total" doc:"snapshot chunks nobody asked for or out of order"`
	DroppedFull      uint64 `metric:"roost_replica_dropped_full_total" doc:"openings for which the table had no room; they come in when devices leave, see incomplete"`
	DroppedTransfers uint64 `metric:"roost_replica_dropped_transfers_total" doc:"requests for a log not taken; the peer asks again"`
	DroppedContests  uint64 `metric:"roost_replica_dropped_contests_total" doc:"beaten sessions not asked about, or not answered for; the audit finds them again"`
	DroppedAuthors   uint64 `metric:"roost_replica_dropped_authors_total" doc:"joins beyond authors_max"`
	DroppedStale     uint64 `metric:"roost_replica_dropped_stale_total" doc:"closings of a session that has a newer entry, and answers nobody waits for"`

	Authors    int   `metric:"roost_replica_authors" doc:"nodes whose log is live here"`
	Loading    int   `metric:"roost_replica_loading" doc:"nodes whose log is not live here though they are members"`
	ClockMS    int64 `metric:"roost_replica_clock_skew_ms" doc:"how far the clock of another node is from this one's, milliseconds, of the node where that is most"`
	Incomplete int   `metric:"roost_replica_incomplete" doc:"nodes of whose devices the table had no room for some: pushes to devices it does not have are overloaded instead of offline"`
	Contests   int   `metric:"roost_replica_contests" doc:"own sessions that are beaten and asked about now"`
	Transfers  int   `metric:"roost_replica_transfers" doc:"peers being helped now"`
}

// Stats returns the counters.
func (r *Replica) Stats() Stats {
	r.mu.Lock()
	s := r.stats
	for _, a := range r.authors {
		switch {
		case a.state == live:
			s.Authors++
		case a.member:
			s.Loading++
		}
	}
	s.ClockMS = r.clockSkewMS()
	s.Incomplete = int(r.crowded.Load())
	s.Contests, s.Transfers = len(r.contests), len(r.transfers)
	r.mu.Unlock()
	r.own.mu.Lock()
	s.add(&r.own.stats)
	r.own.mu.Unlock()
	s.Unsent += r.unsent.Load()
	s.Revealed, s.Unhidden = r.revealed.Load(), r.unhidden.Load()
	return s
}

// add takes over what is counted under the own log's mutex.
func (s *Stats) add(o *ownStats) {
	s.Opened += o.opened
	s.Closed += o.closed
	s.Pushes += o.pushes
	s.Overrun += o.overrun
	s.DroppedFull += o.full
	s.DroppedStale += o.stale
}

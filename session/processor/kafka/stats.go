package kafka

import (
	"sync/atomic"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/processor"
)

// Stats is what a source has counted since it was made. Topics and subjects are told apart
// by priority only: their names are the operator's, and would be labels without a bound. Each field's metric tag is the
// name under which it is published.
type Stats struct {
	Fetched    processor.ByLane `metric:"roost_kafka_fetched_total" label:"priority" doc:"records that came from brokers"`
	Taken      processor.ByLane `metric:"roost_kafka_taken_total" label:"priority" doc:"records that the processor took"`
	Held       processor.ByLane `metric:"roost_kafka_held" label:"priority" doc:"fetched records that wait for room in their lane now"`
	HeldBytes  processor.ByLane `metric:"roost_kafka_held_bytes" label:"priority" doc:"bytes of those"`
	Lag        processor.ByLane `metric:"roost_kafka_lag" label:"priority" doc:"offsets between the first record without a final result and the end, over this member's partitions"`
	LagMax     processor.ByLane `metric:"roost_kafka_lag_max" label:"priority" doc:"the same of the partition that is most behind"`
	Partitions uint64           `metric:"roost_kafka_partitions" doc:"partitions that this member has now"`
	InWork     uint64           `metric:"roost_kafka_in_work" doc:"records that the processor has now"`
	Paused     uint64           `metric:"roost_kafka_paused" doc:"partitions that are not fetched now because their window is full"`

	Outcomes [session.OutcomeCount]uint64 `metric:"roost_kafka_outcomes_total" doc:"devices of records by final outcome"`

	Final        uint64 `metric:"roost_kafka_final_total" doc:"records with a final result, dead letter and result acknowledged"`
	Repeated     uint64 `metric:"roost_kafka_repeated_total" doc:"of those the ones that had been pushed before under the same id"`
	Rejected     uint64 `metric:"roost_kafka_rejected_total" doc:"records that can never succeed"`
	DeadLetters  uint64 `metric:"roost_kafka_dead_letters_total" doc:"of those the ones that the dead letter topic has"`
	DeadShrunk   uint64 `metric:"roost_kafka_dead_letters_shrunk_total" doc:"dead letters that lost their value or headers, because with the reason they were too large for the topic"`
	DeadDropped  uint64 `metric:"roost_kafka_dead_letters_dropped_total" doc:"rejected records that went nowhere: there is no dead letter topic, or it takes nothing of that size"`
	Results      uint64 `metric:"roost_kafka_results_total" doc:"results that the results topic has"`
	ResultsLost  uint64 `metric:"roost_kafka_results_dropped_total" doc:"results that the results topic takes in no size"`
	ReportsAgain uint64 `metric:"roost_kafka_reports_again_total" doc:"dead letters and results that a broker did not take and that were sent again"`

	LanePauses      processor.ByLane `metric:"roost_kafka_lane_pauses_total" label:"priority" doc:"times the topics of a priority were not fetched because too much was held"`
	PartitionPauses uint64           `metric:"roost_kafka_partition_pauses_total" doc:"times a partition was not fetched because its window was full"`

	Commits        uint64 `metric:"roost_kafka_commits_total" doc:"commits that the group took"`
	CommitFailures uint64 `metric:"roost_kafka_commit_failures_total" doc:"commits of a partition that failed; they are made again"`
	Assigned       uint64 `metric:"roost_kafka_assigned_total" doc:"partitions that this member got"`
	Revoked        uint64 `metric:"roost_kafka_revoked_total" doc:"partitions that this member gave away, after what was in work"`
	Lost           uint64 `metric:"roost_kafka_lost_total" doc:"partitions that were taken from this member because its session with the group had broken"`
	GivenUp        uint64 `metric:"roost_kafka_given_up_total" doc:"records in work that were not final when their partition went: they come again elsewhere"`
	Late           uint64 `metric:"roost_kafka_late_total" doc:"of those the ones whose result came after that"`
	Rewinds        uint64 `metric:"roost_kafka_rewinds_total" doc:"times offsets of a partition went back, because its log was cut"`
	FetchErrors    uint64 `metric:"roost_kafka_fetch_errors_total" doc:"errors of fetches and of the group; the client tries again by itself"`
	DialFailures   uint64 `metric:"roost_kafka_dial_failures_total" doc:"connections to brokers that could not be made"`
}

type counters struct {
	fetched, taken, lanePauses processor.LaneCounters
	results                    processor.ResultCounters

	final, deadLetters, deadShrunk, deadDropped, reported, resultsLost, reportsAgain atomic.Uint64

	partitionPauses, commits, commitFailures, assigned, revoked, lost atomic.Uint64
	givenUp, late, rewinds, fetchErrors                               atomic.Uint64
}

// Stats returns the counters. Each is exact; together they are not of one moment. Any
// goroutine may call it, before, in and after Run.
func (s *Source) Stats() Stats {
	c := &s.count
	st := Stats{
		Final: c.final.Load(), Repeated: c.results.Repeated.Load(), Rejected: c.results.Rejected.Load(),
		DeadLetters: c.deadLetters.Load(), DeadShrunk: c.deadShrunk.Load(), DeadDropped: c.deadDropped.Load(),
		Results: c.reported.Load(), ResultsLost: c.resultsLost.Load(), ReportsAgain: c.reportsAgain.Load(),
		PartitionPauses: c.partitionPauses.Load(),
		Commits:         c.commits.Load(), CommitFailures: c.commitFailures.Load(),
		Assigned: c.assigned.Load(), Revoked: c.revoked.Load(), Lost: c.lost.Load(),
		GivenUp: c.givenUp.Load(), Late: c.late.Load(), Rewinds: c.rewinds.Load(),
		FetchErrors: c.fetchErrors.Load(),
	}
	st.DialFailures, _ = s.dialer.failed()
	st.Fetched, st.Taken, st.LanePauses, st.Outcomes = c.fetched.Load(), c.taken.Load(), c.lanePauses.Load(), c.results.Outcomes()
	for p := range s.lanes {
		l := &s.lanes[p]
		l.mu.Lock()
		st.Held[p], st.HeldBytes[p] = uint64(l.count), uint64(l.bytes)
		l.mu.Unlock()
	}
	for _, w := range s.assigned() {
		p, lag := s.priorities[w.topic], w.lag()
		st.Lag[p] += lag
		st.LagMax[p] = max(st.LagMax[p], lag)
		st.InWork += uint64(w.left())
		st.Partitions++
		if w.paused.Load() {
			st.Paused++
		}
	}
	return st
}

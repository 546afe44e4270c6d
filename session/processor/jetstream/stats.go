package jetstream

import (
	"sync/atomic"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/processor"
)

// Stats is what a source has counted since it was made. Topics and subjects are told apart
// by priority only: their names are the operator's, and would be labels without a bound. Each field's metric tag is the
// name under which it is published.
type Stats struct {
	Fetched  processor.ByLane `metric:"roost_jetstream_fetched_total" label:"priority" doc:"messages that came from the server, those that came again included"`
	Taken    processor.ByLane `metric:"roost_jetstream_taken_total" label:"priority" doc:"messages that the processor took"`
	InWork   processor.ByLane `metric:"roost_jetstream_in_work" label:"priority" doc:"messages between fetch and settlement now"`
	Lag      processor.ByLane `metric:"roost_jetstream_lag" label:"priority" doc:"messages that wait in the stream, as far as is known"`
	Roomless processor.ByLane `metric:"roost_jetstream_roomless_total" label:"priority" doc:"messages given back because the processor had no room for them"`

	Outcomes [session.OutcomeCount]uint64 `metric:"roost_jetstream_outcomes_total" doc:"devices of messages by final outcome"`

	Final        uint64 `metric:"roost_jetstream_final_total" doc:"messages acknowledged or terminated"`
	Repeated     uint64 `metric:"roost_jetstream_repeated_total" doc:"of those the ones that had been pushed before under the same id"`
	Rejected     uint64 `metric:"roost_jetstream_rejected_total" doc:"messages that can never succeed"`
	DeadLetters  uint64 `metric:"roost_jetstream_dead_letters_total" doc:"of those the ones that the dead letter subject's stream has"`
	DeadShrunk   uint64 `metric:"roost_jetstream_dead_letters_shrunk_total" doc:"dead letters that lost their value or headers, because with the reason they were too large"`
	DeadDropped  uint64 `metric:"roost_jetstream_dead_letters_dropped_total" doc:"rejected messages that went nowhere: there is no dead letter subject, or its stream takes nothing of that size"`
	LettersAgain uint64 `metric:"roost_jetstream_letters_again_total" doc:"dead letters that were not taken; their messages come again"`

	GivenBack    uint64 `metric:"roost_jetstream_given_back_total" doc:"messages given back, for want of room or at the end"`
	Redelivered  uint64 `metric:"roost_jetstream_redelivered_total" doc:"messages that came again"`
	Overlapped   uint64 `metric:"roost_jetstream_overlapped_total" doc:"of those the ones that were still in work here, and are not pushed twice"`
	InProgress   uint64 `metric:"roost_jetstream_in_progress_total" doc:"times the server was told that a message is in work"`
	Unheard      uint64 `metric:"roost_jetstream_unheard_total" doc:"answers that did not reach the server; their messages come again"`
	Abandoned    uint64 `metric:"roost_jetstream_abandoned_total" doc:"messages without a result when the source stopped; they come again"`
	FetchErrors  uint64 `metric:"roost_jetstream_fetch_errors_total" doc:"fetches that failed and were tried again"`
	ClientErrors uint64 `metric:"roost_jetstream_client_errors_total" doc:"errors that the client reported by itself"`
	Disconnects  uint64 `metric:"roost_jetstream_disconnects_total" doc:"connections to servers that were lost"`
}

type counters struct {
	fetched, taken, roomless processor.LaneCounters
	results                  processor.ResultCounters

	final, deadLetters, deadShrunk, deadDropped, lettersAgain atomic.Uint64

	givenBack, redelivered, overlapped, inProgress, unheard, abandoned atomic.Uint64
	fetchErrors, clientErrors, disconnects                             atomic.Uint64
}

// Stats returns the counters. Each is exact; together they are not of one moment. Any
// goroutine may call it, before, in and after Run.
func (s *Source) Stats() Stats {
	c := &s.count
	st := Stats{
		Final: c.final.Load(), Repeated: c.results.Repeated.Load(), Rejected: c.results.Rejected.Load(),
		DeadLetters: c.deadLetters.Load(), DeadShrunk: c.deadShrunk.Load(), DeadDropped: c.deadDropped.Load(),
		LettersAgain: c.lettersAgain.Load(), GivenBack: c.givenBack.Load(), Redelivered: c.redelivered.Load(),
		Overlapped: c.overlapped.Load(), InProgress: c.inProgress.Load(), Unheard: c.unheard.Load(),
		Abandoned: c.abandoned.Load(), FetchErrors: c.fetchErrors.Load(), ClientErrors: c.clientErrors.Load(),
		Disconnects: c.disconnects.Load(),
	}
	st.Fetched, st.Taken, st.Roomless, st.Outcomes = c.fetched.Load(), c.taken.Load(), c.roomless.Load(), c.results.Outcomes()
	for p := range s.lanes {
		l := &s.lanes[p]
		l.mu.Lock()
		st.InWork[p], st.Lag[p] = uint64(len(l.inWork)), l.lag
		l.mu.Unlock()
	}
	return st
}

package processor

import "github.com/roostpush/roost/session"

// ByLane is one number for each lane.
type ByLane [session.PriorityCount]uint64

// Label is the value of the label lane for the number i.
func (ByLane) Label(i int) string { return session.Priority(i).String() }

// ByReason is one number for each reason to pause.
type ByReason [reasonCount]uint64

// Label is the value of the label reason for the number i.
func (ByReason) Label(i int) string { return Reason(i).String() }

// Stats is what a processor has counted since it was made, and what it holds now. Each
// field's metric tag is the name under which it is published. All are of one moment.
type Stats struct {
	Taken     ByLane                       `metric:"roost_processor_taken_total" label:"lane" doc:"records taken from sources"`
	Refused   ByLane                       `metric:"roost_processor_refused_total" label:"lane" doc:"records not taken because their lane held records_max or bytes_max, or the processor was closed; their source offers them again"`
	Attempts  ByLane                       `metric:"roost_processor_attempts_total" label:"lane" doc:"attempts that have ended, and records found expired when it was their turn"`
	Retries   ByLane                       `metric:"roost_processor_retries_total" label:"lane" doc:"attempts after which a record waits to be tried again"`
	Exhausted uint64                       `metric:"roost_processor_exhausted_total" doc:"records that have the outcome of their last attempt because retry_for or hold_max was over"`
	Outcomes  [session.OutcomeCount]uint64 `metric:"roost_processor_outcomes_total" doc:"addressees of records by final outcome"`
	Rejected  uint64                       `metric:"roost_processor_rejected_total" doc:"records that can never succeed: poison"`
	Repeated  uint64                       `metric:"roost_processor_repeated_total" doc:"records not pushed because one with their id was on its way, or had its result"`
	GivenUp   uint64                       `metric:"roost_processor_given_up_total" doc:"records given up because the processor was closed; they come again from their source"`

	Records  ByLane `metric:"roost_processor_records" label:"lane" doc:"records without a result now"`
	Bytes    ByLane `metric:"roost_processor_bytes" label:"lane" doc:"bytes of their payloads"`
	Waiting  ByLane `metric:"roost_processor_waiting" label:"lane" doc:"records and turns that could begin now, if it were their turn"`
	Running  ByLane `metric:"roost_processor_running" label:"lane" doc:"attempts and turns on their way now"`
	Retrying uint64 `metric:"roost_processor_retrying" doc:"records that wait to be tried again"`

	IDs          uint64 `metric:"roost_processor_ids" doc:"results remembered by id now"`
	IDsForgotten uint64 `metric:"roost_processor_ids_forgotten_total" doc:"results forgotten before idempotency_age, because there were idempotency_ids_max of them: a record that comes again is pushed again"`

	Turns        ByLane `metric:"roost_processor_turns_total" label:"lane" doc:"turns that the mailbox asked for"`
	TurnsRefused ByLane `metric:"roost_processor_turns_refused_total" label:"lane" doc:"turns refused because their lane held turns_max, or the processor was closed"`
	TurnsHeld    ByLane `metric:"roost_processor_turns" label:"lane" doc:"turns that wait or have not ended now"`

	Pauses ByReason `metric:"roost_processor_pauses_total" label:"reason" doc:"times that nothing was attempted from then on"`
	Paused ByReason `metric:"roost_processor_paused" label:"reason" doc:"1 while nothing is attempted for that reason"`
}

// counters are guarded by the processor's mutex.
type counters struct {
	taken, refused, attempts, retries, turns, turnsRefused ByLane

	outcomes [session.OutcomeCount]uint64
	pauses   ByReason

	exhausted, rejected, repeated, givenUp uint64
}

// Stats returns the counters.
func (p *Processor) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := &p.count
	s := Stats{
		Taken: c.taken, Refused: c.refused, Attempts: c.attempts, Retries: c.retries,
		Exhausted: c.exhausted, Outcomes: c.outcomes, Rejected: c.rejected, Repeated: c.repeated, GivenUp: c.givenUp,
		Retrying: uint64(p.wheel.length),
		IDs:      uint64(p.ids.settled), IDsForgotten: p.ids.forgotten,
		Turns: c.turns, TurnsRefused: c.turnsRefused, Pauses: c.pauses,
	}
	for i := range p.schedule.lanes {
		l := &p.schedule.lanes[i]
		s.Records[i], s.Bytes[i] = uint64(l.records), uint64(l.bytes)
		s.Waiting[i], s.Running[i], s.TurnsHeld[i] = uint64(l.waiting), uint64(l.running), uint64(l.turns)
	}
	for i, paused := range p.paused {
		if paused {
			s.Paused[i] = 1
		}
	}
	return s
}

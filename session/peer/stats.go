package peer

import (
	"sync/atomic"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// Stats is what a pool has counted since it was made. Each field's metric tag is the
// name under which it is published; arrays by reason have the label reason.
type Stats struct {
	Links     uint64 `metric:"roost_peer_links" doc:"nodes linked now"`
	BytesIn   uint64 `metric:"roost_peer_bytes_in_total" doc:"bytes read from other nodes"`
	BytesOut  uint64 `metric:"roost_peer_bytes_out_total" doc:"bytes written to other nodes"`
	FramesIn  uint64 `metric:"roost_peer_frames_in_total" doc:"frames read from other nodes"`
	WritesOut uint64 `metric:"roost_peer_writes_out_total" doc:"batches of frames handed to the kernel"`

	Sent      uint64 `metric:"roost_peer_messages_sent_total" doc:"messages queued for other nodes"`
	Forwarded uint64 `metric:"roost_peer_messages_received_total" doc:"messages that other nodes sent here"`
	InFlight  uint64 `metric:"roost_peer_messages_in_flight" doc:"messages whose outcome is awaited now"`

	Unreachable uint64 `metric:"roost_peer_unreachable_total" doc:"messages for nodes without a link"`
	Older       uint64 `metric:"roost_peer_older_total" doc:"messages that the node's version does not understand; they are unreachable"`
	QueueFull   uint64 `metric:"roost_peer_queue_full_total" doc:"messages refused because the link's queue was full"`
	FlightsFull uint64 `metric:"roost_peer_in_flight_full_total" doc:"messages refused because in_flight_max were awaited"`
	TooLarge    uint64 `metric:"roost_peer_too_large_total" doc:"messages above the frame size of this node or the other"`
	Invalid     uint64 `metric:"roost_peer_invalid_total" doc:"messages with a name that no device can have"`
	Lost        uint64 `metric:"roost_peer_lost_total" doc:"messages in flight when their link ended"`
	Timeouts    uint64 `metric:"roost_peer_timeouts_total" doc:"messages without an answer in time"`
	LateAnswers uint64 `metric:"roost_peer_late_answers_total" doc:"outcomes of messages that nobody waits for any more"`

	AnswersDropped uint64 `metric:"roost_peer_answers_dropped_total" doc:"outcomes and answers that the link had no room for, or that was gone"`
	ControlRefused uint64 `metric:"roost_peer_control_refused_total" doc:"control frames refused because the queue was full or the link gone"`
	Questions      uint64 `metric:"roost_peer_questions_total" doc:"questions asked"`
	QuestionsLost  uint64 `metric:"roost_peer_questions_failed_total" doc:"questions that ended without an answer"`

	Pending     uint64   `metric:"roost_peer_pending" doc:"connections in their hello now"`
	Strays      uint64   `metric:"roost_peer_strays_total" doc:"connections closed because pending_max were in their hello"`
	DialsFailed uint64   `metric:"roost_peer_dials_failed_total" doc:"attempts to link a node that came to nothing without a reason given"`
	Refused     ByReason `metric:"roost_peer_refused_total" label:"reason" doc:"hellos refused, by this node or by the other, by reason"`
	Ended       ByReason `metric:"roost_peer_links_ended_total" label:"reason" doc:"links that ended, by reason"`
}

// ByReason is one counter for each wire.GoodbyeReason; 0 is those of newer versions.
type ByReason [wire.GoodbyeReasonCount]uint64

// Label is the value of the label reason for the counter i.
func (ByReason) Label(i int) string { return wire.GoodbyeReason(i).String() }

type counters struct {
	bytesIn, bytesOut, framesIn, writesOut, sent, forwarded                             atomic.Uint64
	older, unreachable, queueFull, flightsFull, tooLarge, invalid, lost, timeouts, late atomic.Uint64
	answersDropped, controlRefused, questions, questionsLost, strays, dialsFailed       atomic.Uint64

	refused, ended [wire.GoodbyeReasonCount]atomic.Uint64
}

// count counts a reason, which may be one of a newer version.
func count(by *[wire.GoodbyeReasonCount]atomic.Uint64, why wire.GoodbyeReason) {
	if int(why) >= len(by) {
		why = 0
	}
	by[why].Add(1)
}

// Stats returns the counters. Each is exact; together they are not of one moment.
func (p *Pool) Stats() Stats {
	c := &p.count
	s := Stats{
		BytesIn: c.bytesIn.Load(), BytesOut: c.bytesOut.Load(), FramesIn: c.framesIn.Load(), WritesOut: c.writesOut.Load(),
		Sent: c.sent.Load(), Forwarded: c.forwarded.Load(),
		Unreachable: c.unreachable.Load(), Older: c.older.Load(), QueueFull: c.queueFull.Load(), FlightsFull: c.flightsFull.Load(),
		TooLarge: c.tooLarge.Load(), Invalid: c.invalid.Load(),
		Lost: c.lost.Load(), Timeouts: c.timeouts.Load(), LateAnswers: c.late.Load(),
		AnswersDropped: c.answersDropped.Load(), ControlRefused: c.controlRefused.Load(),
		Questions: c.questions.Load(), QuestionsLost: c.questionsLost.Load(),
		Strays: c.strays.Load(), DialsFailed: c.dialsFailed.Load(),
	}
	for i := range s.Refused {
		s.Refused[i], s.Ended[i] = c.refused[i].Load(), c.ended[i].Load()
	}
	p.mu.Lock()
	s.Pending = uint64(len(p.pending))
	p.mu.Unlock()
	for _, l := range p.Links() {
		s.Links++
		s.InFlight += uint64(l.InFlight)
	}
	return s
}

// LinkState is a link as an operator sees it.
type LinkState struct {
	To           session.Origin
	Remote       string // address of the other end of the messages connection
	Minor        uint16 // of the version that it speaks
	QueuedBytes  int    // messages and outcomes that wait to be written
	ControlBytes int    // control frames that wait to be written
	InFlight     int    // messages whose outcome is awaited
}

// Links returns the links that are up, in no particular order.
func (p *Pool) Links() []LinkState {
	var states []LinkState
	for _, rm := range *p.remotes.Load() {
		pr := rm.live.Load()
		if pr == nil {
			continue
		}
		s := LinkState{To: pr.origin, Minor: pr.minor, Remote: pr.messages.conn.RemoteAddr().String()}
		s.QueuedBytes, s.InFlight = pr.messages.state()
		s.ControlBytes, _ = pr.control.state()
		states = append(states, s)
	}
	return states
}

// HOT PATH

package mailbox

import "github.com/roostpush/roost/session"

// note notes a step of a push on its way into the boxes.
func (q *post) note(step session.Step, o session.Outcome) {
	t := q.mailbox.tracer
	if t == nil {
		return
	}
	e := session.Event{ID: q.id, Step: step, Outcome: o, Traced: q.message.Trace != "", Trace: q.message.Trace, Devices: uint32(len(q.list))}
	if len(q.list) == 1 {
		e.Device, e.Devices = q.list[0].Device, 0
	} else {
		e.Device = q.device
	}
	t.Note(e)
}

// noteLocked notes what an item is now.
func (s *shard) noteLocked(b *box, it *item, o session.Outcome) {
	if t := s.mailbox.tracer; t != nil {
		t.Note(session.Event{ID: b.id(it), Step: session.StepBecame, Outcome: o, Traced: it.traced, Device: b.address.Device})
	}
}

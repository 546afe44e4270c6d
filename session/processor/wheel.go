package processor

// A tick is short beside the shortest backoff that may be configured; a round is some
// eight seconds, and what is due later stays for another.
const (
	wheelSlots  = 256
	wheelTickMS = 32
)

// wheel holds the tasks that are to be tried again, by when. Adding costs the same
// however many there are, and so does taking out each one that is due.
type wheel struct {
	slots  [wheelSlots]queue
	turned int64 // the tick up to which all that was due is out
	length int
}

// add has t come out at the first turn after its dueMS.
func (w *wheel) add(t *task) {
	t.state = retrying
	// What is due already comes out at the next tick; its own has been passed.
	tick := max(t.dueMS/wheelTickMS, w.turned+1)
	w.slots[tick%wheelSlots].push(t)
	w.length++
}

// turn takes out what is due at nowMS, oldest slot first.
func (w *wheel) turn(nowMS int64, due func(*task)) {
	tick := nowMS/wheelTickMS - 1 // the last tick that is over altogether
	if w.length == 0 {
		w.turned = max(w.turned, tick)
		return
	}
	for i := max(w.turned+1, tick-wheelSlots+1); i <= tick; i++ {
		slot := &w.slots[i%wheelSlots]
		all := *slot
		*slot = queue{}
		for all.first != nil {
			t := all.pop()
			if t.dueMS/wheelTickMS > tick {
				slot.push(t) // in another round
				continue
			}
			w.length--
			due(t)
		}
	}
	w.turned = max(w.turned, tick)
}

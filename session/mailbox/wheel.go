package mailbox

// The wheel of a shard holds its boxes by the time at which they are to be looked at: a
// hashed hierarchical timing wheel (Varghese and Lauck, "Hashed and Hierarchical Timing
// Wheels", 1987). The finest level has slots of 128 ms for 33 s, each next one 256 times
// coarser; the third reaches 24 days, the fourth everything else. A box is in one slot at
// most and leaves it at once when it is emptied, so that messages that are acknowledged within
// milliseconds leave nothing behind. All times are of a clock that nobody sets: one that was set
// back would stop the wheel until it has caught up.
const (
	tickBits    = 7 // a slot of the finest level is 1<<tickBits milliseconds
	slotBits    = 8
	slotCount   = 1 << slotBits
	wheelLevels = 4
	turnsMax    = 1 << 20 // beyond so many slots at once everything is placed anew: 37 hours
)

type wheel struct {
	now   int64 // in slots of the finest level
	slots [wheelLevels][slotCount]*box
}

// put sets the time at which the box is to be looked at.
func (w *wheel) put(b *box, dueMS int64) {
	w.take(b)
	b.dueMS = dueMS
	w.place(b, w.now+1)
}

// place puts the box into its slot, at least that far on.
func (w *wheel) place(b *box, atLeast int64) {
	at := max(b.dueMS>>tickBits+1, atLeast) // a slot is through when all of it has passed
	delta, level := at-w.now, 0
	for level < wheelLevels-1 && delta >= 1<<(slotBits*(level+1)) {
		level++
	}
	if top := int64(1)<<(slotBits*wheelLevels) - 1; delta > top {
		at = w.now + top
	}
	head := &w.slots[level][at>>(slotBits*level)&(slotCount-1)]
	b.slot, b.next = head, *head
	if b.next != nil {
		b.next.prev = b
	}
	*head = b
}

// take takes the box out of its slot, if it is in one.
func (w *wheel) take(b *box) {
	if b.slot == nil {
		return
	}
	if b.prev != nil {
		b.prev.next = b.next
	} else {
		*b.slot = b.next
	}
	if b.next != nil {
		b.next.prev = b.prev
	}
	b.slot, b.prev, b.next = nil, nil, nil
}

// turn moves on to steadyMS and appends the boxes that are due, which are in no slot then.
func (w *wheel) turn(due []*box, steadyMS int64) []*box {
	target := steadyMS >> tickBits
	if target-w.now > turnsMax {
		return w.leap(due, target)
	}
	for w.now < target {
		w.now++
		for level := 1; level < wheelLevels && w.now&(1<<(slotBits*level)-1) == 0; level++ {
			w.empty(&w.slots[level][w.now>>(slotBits*level)&(slotCount-1)], func(b *box) { w.place(b, w.now) })
		}
		w.empty(&w.slots[0][w.now&(slotCount-1)], func(b *box) { due = append(due, b) })
	}
	return due
}

// leap is turn for a process that stood still for long.
func (w *wheel) leap(due []*box, target int64) []*box {
	all := w.takeAll()
	w.now = target
	for _, b := range all {
		if b.dueMS>>tickBits+1 <= target {
			due = append(due, b)
		} else {
			w.place(b, target+1)
		}
	}
	return due
}

// takeAll takes every box out.
func (w *wheel) takeAll() (all []*box) {
	for level := range w.slots {
		for slot := range w.slots[level] {
			w.empty(&w.slots[level][slot], func(b *box) { all = append(all, b) })
		}
	}
	return all
}

// empty takes every box out of a slot.
func (w *wheel) empty(head **box, each func(*box)) {
	for b := *head; b != nil; {
		next := b.next
		w.take(b)
		each(b)
		b = next
	}
}

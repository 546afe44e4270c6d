// HOT PATH

package peer

// flights are the messages of one link whose outcome is awaited. Each has a slot with
// a number of its own; a slot that is used again has another generation, so that a late
// answer is never taken for another message's. The link's mutex guards it.
type flights struct {
	pages []*flightPage // kept as long as the link
	free  uint32        // slot+1 of the first that is free, 0: none
	n     int           // taken
	max   int
}

// flightPageSlots is how flights grows.
const flightPageSlots = 256

type flightPage struct {
	taken int // slots of it
	slots [flightPageSlots]flight
}

type flight struct {
	receipt    Receipt // nil: the slot is free
	tag        uint64
	due        uint32 // tick at which it has timed out
	generation uint32
	next       uint32 // slot+1 of the next that is free
}

// landing is a flight that has ended.
type landing struct {
	receipt Receipt
	tag     uint64
}

// take gives a message a slot; false when there are too many.
func (f *flights) take(r Receipt, tag uint64, due uint32) (ref uint64, ok bool) {
	if f.n == f.max {
		return 0, false
	}
	if f.free == 0 {
		f.grow()
	}
	slot := f.free - 1
	page := f.pages[slot/flightPageSlots]
	s := &page.slots[slot%flightPageSlots]
	f.free = s.next
	s.receipt, s.tag, s.due = r, tag, due
	page.taken++
	f.n++
	return uint64(s.generation)<<32 | uint64(slot+1), true
}

func (f *flights) grow() {
	page := new(flightPage)
	first := uint32(len(f.pages) * flightPageSlots)
	for i := range page.slots {
		page.slots[i].next = first + uint32(i) + 2
	}
	page.slots[flightPageSlots-1].next = 0
	f.pages = append(f.pages, page)
	f.free = first + 1
}

// find returns the flight of that ref, or nil when it has ended.
func (f *flights) find(ref uint64) (page *flightPage, s *flight) {
	slot := uint32(ref) - 1
	if uint64(slot) >= uint64(len(f.pages))*flightPageSlots {
		return nil, nil
	}
	page = f.pages[slot/flightPageSlots]
	if s = &page.slots[slot%flightPageSlots]; s.receipt == nil || s.generation != uint32(ref>>32) {
		return nil, nil
	}
	return page, s
}

// answer returns who waits for the message of that ref, and when the answer is final
// ends the flight. The receipt is nil when nobody waits.
func (f *flights) answer(ref uint64, final bool) landing {
	page, s := f.find(ref)
	if s == nil {
		return landing{}
	}
	l := landing{s.receipt, s.tag}
	if final {
		f.end(page, s, uint32(ref))
	}
	return l
}

// end frees a slot; link is slot+1.
func (f *flights) end(page *flightPage, s *flight, link uint32) {
	s.receipt = nil
	s.generation++
	s.next, f.free = f.free, link
	page.taken--
	f.n--
}

// expire ends the flights of one page that are due at the tick now, or all of them, and
// appends them.
func (f *flights) expire(dst []landing, page int, now uint32, all bool) []landing {
	p := f.pages[page]
	if p.taken == 0 {
		return dst
	}
	for i := range p.slots {
		s := &p.slots[i]
		if s.receipt == nil || !all && int32(now-s.due) < 0 {
			continue
		}
		dst = append(dst, landing{s.receipt, s.tag})
		f.end(p, s, uint32(page*flightPageSlots+i+1))
	}
	return dst
}

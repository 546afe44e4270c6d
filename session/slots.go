package session

import "math/bits"

// pageSlots is the number of slots in a page: one word of the bitmap of those
// that are free. A page is 512 bytes, which is also how a shard grows.
const pageSlots = 64

// slots gives every session of a shard a small number that stays its own while
// it is open. Pages with a free slot form a list, so that taking and freeing one
// never searches. The shard owns it and its mutex guards it; pages are kept when
// their sessions leave.
type slots struct {
	pages []page
	open  uint32 // page+1 of the first that has a free slot, 0: none
}

type page struct {
	sessions *[pageSlots]*Session
	vacant   uint64 // one bit for each free slot
	next     uint32 // page+1 of the next that has a free slot, 0: none
}

// get returns the session in a slot, nil if it is free or was never used.
func (t *slots) get(slot uint32) *Session {
	if int(slot/pageSlots) >= len(t.pages) {
		return nil
	}
	return t.pages[slot/pageSlots].sessions[slot%pageSlots]
}

// link returns the session at the other end of a chain's link, which is slot+1.
func (t *slots) link(link uint32) *Session {
	if link == 0 {
		return nil
	}
	return t.get(link - 1)
}

// set puts another session into a slot that is taken.
func (t *slots) set(slot uint32, s *Session) {
	t.pages[slot/pageSlots].sessions[slot%pageSlots] = s
}

// take gives s a slot.
func (t *slots) take(s *Session) uint32 {
	if t.open == 0 {
		if len(t.pages)*pageSlots == SessionsMax {
			panic("session: a shard of the registry is full: connections are not capped at SessionsMax")
		}
		t.pages = append(t.pages, page{sessions: new([pageSlots]*Session), vacant: ^uint64(0)})
		t.open = uint32(len(t.pages))
	}
	n := t.open - 1
	p := &t.pages[n]
	bit := bits.TrailingZeros64(p.vacant)
	if p.vacant &^= 1 << bit; p.vacant == 0 {
		t.open, p.next = p.next, 0
	}
	p.sessions[bit] = s
	return n*pageSlots + uint32(bit)
}

// free takes the session out of its slot.
func (t *slots) free(slot uint32) {
	n := slot / pageSlots
	p := &t.pages[n]
	p.sessions[slot%pageSlots] = nil
	if p.vacant == 0 {
		p.next, t.open = t.open, n+1
	}
	p.vacant |= 1 << (slot % pageSlots)
}

// each calls f for every session.
func (t *slots) each(f func(*Session)) {
	for i := range t.pages {
		t.pages[i].each(f)
	}
}

func (p *page) each(f func(*Session)) {
	for taken := ^p.vacant; taken != 0; taken &= taken - 1 {
		f(p.sessions[bits.TrailingZeros64(taken)])
	}
}

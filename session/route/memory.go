package route

import (
	"fmt"
	"sync"
	"unsafe"
)

// granuleBytes is the unit in which shards take memory and give it back. One size
// for all means that what one array has left fits every other: there is no
// fragmentation to account for.
const granuleBytes = 4096

// hugeBytes is the size of a huge page: the region is aligned to it.
const hugeBytes = 2 << 20

// memory hands out granules of one reserved region of address space outside Go's
// heap. Nothing of it is unmapped before close: a reader that is late may still look
// at a granule that has been given back or serves another array. What it finds
// there does it no harm, because it looks at its shard's array pointer again before
// it believes anything.
type memory struct {
	region []byte         // as mapped
	base   unsafe.Pointer // its first huge page
	limit  uint32         // granules in it

	mu       sync.Mutex
	fresh    uint32   // granules from here on were never handed out
	free     []uint32 // given back, with old contents
	returned []uint32 // given back and returned to the system, which has zeroed them
}

// openMemory reserves address space for so many bytes. They cost nothing until
// they are used.
func openMemory(bytes int) (*memory, error) {
	bytes = (bytes + hugeBytes - 1) &^ (hugeBytes - 1)
	region, err := reserve(bytes + hugeBytes)
	if err != nil {
		return nil, fmt.Errorf("route: reserve %d bytes of address space: %w", bytes, err)
	}
	base := unsafe.Pointer(unsafe.SliceData(region))
	if odd := uintptr(base) & (hugeBytes - 1); odd != 0 {
		base = unsafe.Add(base, hugeBytes-odd)
	}
	return &memory{region: region, base: base, limit: uint32(bytes / granuleBytes)}, nil
}

func (m *memory) close() error {
	if err := unreserve(m.region); err != nil {
		return fmt.Errorf("route: unmap the table: %w", err)
	}
	return nil
}

// take appends n granules, whose contents are anything, or none if there are not
// as many left.
func (m *memory) take(dst []uint32, n int) ([]uint32, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.free)+len(m.returned)+int(m.limit-m.fresh) < n {
		return dst, false
	}
	for ; n > 0; n-- {
		switch {
		case len(m.free) > 0:
			dst = append(dst, pop(&m.free))
		case len(m.returned) > 0:
			dst = append(dst, pop(&m.returned))
		default:
			dst = append(dst, m.fresh)
			m.fresh++
		}
	}
	return dst, true
}

func pop(stack *[]uint32) uint32 {
	last := len(*stack) - 1
	g := (*stack)[last]
	*stack = (*stack)[:last]
	return g
}

// give takes granules back.
func (m *memory) give(granules []uint32) {
	m.mu.Lock()
	m.free = append(m.free, granules...)
	m.mu.Unlock()
}

// returnSome returns free granules to the system, at most n of those that are more
// than the next few arrays will want. It reports whether there are more.
func (m *memory) returnSome(n int) (more bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	keep := hugeBytes/granuleBytes + m.heldLocked()/32
	for ; n > 0 && len(m.free) > keep; n-- {
		g := pop(&m.free)
		discard(unsafe.Slice((*byte)(m.granule(g)), granuleBytes))
		m.returned = append(m.returned, g)
	}
	return len(m.free) > keep
}

func (m *memory) granule(g uint32) unsafe.Pointer {
	return unsafe.Add(m.base, uintptr(g)*granuleBytes)
}

// heldLocked returns how many granules have memory behind them.
func (m *memory) heldLocked() int { return int(m.fresh) - len(m.returned) }

// bytes returns the memory behind the region, and the lists that name what is free.
func (m *memory) bytes() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.heldLocked()*granuleBytes + 4*(cap(m.free)+cap(m.returned))
}

package lifecycle

import "time"

// A wave of handshakes, or the store's write buffer going to disk, leaves garbage that
// nothing collects for hours when the node is idle afterwards: Go's collector runs when the
// heap has grown by half, and what it frees it keeps for some minutes. So memory is given
// back within 10 s of quiet (DESIGN.md decision 13).
//
// Quiet means that hardly anything is allocated, whoever allocates: devices, the store's
// flushes and compactions, links. What goes on for ever does not hinder it: memberlist
// allocates some 30 KB/s in a cluster without a device. It also means that hardly a message
// is on its way, since those allocate nothing: giving back holds a processor for 20 to 40 ms.
//
// The cost is bounded by what there is to win. A cycle looks at the whole live heap, 0.23 ms
// of CPU for each MiB, and comes only after a 64th of it was allocated or lies free; while
// that takes quietBytes a second at most, cycles take 4 ms of CPU a second at most, however
// large the heap: the larger, the rarer. With 400 MiB live, a million devices, and 30 KB/s it
// is 100 ms in three and a half minutes.

// QuietLook is the time between two looks at the heap.
const QuietLook = time.Second

const (
	quietLooks    = 3         // in a row
	quietBytes    = 256 << 10 // allocated between two looks
	quietMessages = 100       // between two looks

	winMin   = 256 << 10 // bytes
	winShare = 64        // of the live heap
)

// HeapState is what the runtime says of its heap, in bytes, and how many messages there were.
type HeapState struct {
	Allocated uint64 // since the process began
	Objects   uint64 // live ones, and garbage that is not yet swept
	Live      uint64 // when the last cycle marked them
	Free      uint64 // without an object, and not returned to the system
	Messages  uint64 // that came, went or were passed on since the process began
}

// QuietHeap judges a sequence of looks at the heap, QuietLook apart. The zero value has seen none.
// It belongs to one goroutine.
type QuietHeap struct {
	allocated uint64 // at the last look
	messages  uint64
	looks     int // quiet ones in a row
}

// Worth takes one look and reports whether a collection is worth its cost now. After one
// the count of looks begins anew.
func (q *QuietHeap) Worth(h HeapState) bool {
	if h.Allocated-q.allocated > quietBytes || h.Messages-q.messages > quietMessages {
		q.looks = 0
	} else {
		q.looks++
	}
	q.allocated, q.messages = h.Allocated, h.Messages
	if q.looks < quietLooks {
		return false
	}
	win := h.Free
	if h.Objects > h.Live { // not so while a cycle is sweeping
		win += h.Objects - h.Live
	}
	if win < max(winMin, h.Live/winShare) {
		return false
	}
	q.looks = 0
	return true
}

// Run takes a look at the heap for each of looks, and gives memory back when that is worth it, until
// quit is closed. read says what the heap is like, giveBack collects and returns what is free.
func (q *QuietHeap) Run(quit <-chan struct{}, looks <-chan time.Time, read func() HeapState, giveBack func()) {
	for {
		select {
		case <-quit:
			return
		case <-looks:
		}
		if q.Worth(read()) {
			giveBack()
		}
	}
}

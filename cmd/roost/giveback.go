package main

import (
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// A wave of handshakes, or the store's write buffer going to disk, leaves garbage that
// nothing collects for hours when the node is idle afterwards: Go's collector runs when the
// heap has grown by half, and what it frees it keeps for some minutes. So memory is given
// back within 10 s of quiet (DESIGN.md decision 13).
//
// Quiet means that hardly anything is allocated, whoever allocates: devices, the store's
// flushes and compactions, links. What goes on for ever does not hinder it: memberlist
// allocates some 30 KB/s in a cluster without a device.
//
// The cost is bounded by what there is to win. A cycle looks at the whole live heap, 0.23 ms
// of CPU for each MiB, and comes only after a 64th of it was allocated or lies free; while
// that takes quietBytes a second at most, cycles take 4 ms of CPU a second at most, however
// large the heap: the larger, the rarer. With 400 MiB live, a million devices, and 30 KB/s it
// is 100 ms in three and a half minutes.
const (
	quietLook  = time.Second
	quietLooks = 3         // in a row
	quietBytes = 256 << 10 // allocated between two looks

	winMin   = 256 << 10 // bytes
	winShare = 64        // of the live heap
)

// heapState is what the runtime says of its heap, in bytes.
type heapState struct {
	allocated uint64 // since the process began
	objects   uint64 // live ones, and garbage that is not yet swept
	live      uint64 // when the last cycle marked them
	free      uint64 // without an object, and not returned to the system
}

// quietHeap judges a sequence of looks at the heap. The zero value has seen none.
type quietHeap struct {
	allocated uint64 // at the last look
	looks     int    // quiet ones in a row
}

// worth takes one look and reports whether a collection is worth its cost now. After one
// the count of looks begins anew.
func (q *quietHeap) worth(h heapState) bool {
	if h.allocated-q.allocated > quietBytes {
		q.looks = 0
	} else {
		q.looks++
	}
	q.allocated = h.allocated
	if q.looks < quietLooks {
		return false
	}
	win := h.free
	if h.objects > h.live { // not so while a cycle is sweeping
		win += h.objects - h.live
	}
	if win < max(winMin, h.live/winShare) {
		return false
	}
	q.looks = 0
	return true
}

// heapReader reads heapStates without stopping the world. It belongs to one goroutine.
type heapReader []metrics.Sample

func newHeapReader() heapReader {
	return heapReader{
		{Name: "/gc/heap/allocs:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
	}
}

func (r heapReader) read() heapState {
	metrics.Read(r)
	return heapState{allocated: r[0].Value.Uint64(), objects: r[1].Value.Uint64(), live: r[2].Value.Uint64(), free: r[3].Value.Uint64()}
}

// giveBackWhenQuiet looks at the heap until quit is closed.
func giveBackWhenQuiet(quit <-chan struct{}) {
	tick := time.NewTicker(quietLook)
	defer tick.Stop()
	heap := newHeapReader()
	var quiet quietHeap
	for {
		select {
		case <-quit:
			return
		case <-tick.C:
		}
		if quiet.worth(heap.read()) {
			debug.FreeOSMemory()
		}
	}
}

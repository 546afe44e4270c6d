package main

import (
	"runtime"
	"runtime/debug"
	"testing"
)

// look is one look at a heap: what was allocated since the one before, and its state.
type look struct {
	allocated, objects, live, free uint64
	worth                          bool
}

func TestMemoryIsGivenBackWhenQuiet(t *testing.T) {
	const mib, kib = 1 << 20, 1 << 10
	for name, looks := range map[string][]look{
		"after a wave": {
			{20 * mib, 30 * mib, 16 * mib, 0, false},
			{0, 30 * mib, 16 * mib, 0, false},
			{0, 30 * mib, 16 * mib, 0, false},
			{0, 30 * mib, 16 * mib, 0, true},
		},
		"what a collection freed and kept": {
			{0, 16 * mib, 16 * mib, 2 * mib, false},
			{0, 16 * mib, 16 * mib, 2 * mib, false},
			{0, 16 * mib, 16 * mib, 2 * mib, true},
		},
		"a little is allocated all the time": {
			{20 * mib, 30 * mib, 16 * mib, 0, false},
			{200 * kib, 30 * mib, 16 * mib, 0, false},
			{256 * kib, 30 * mib, 16 * mib, 0, false},
			{30 * kib, 30 * mib, 16 * mib, 0, true},
		},
		"busy": {
			{20 * mib, 30 * mib, 16 * mib, 0, false},
			{300 * kib, 30 * mib, 16 * mib, 4 * mib, false},
			{300 * kib, 30 * mib, 16 * mib, 4 * mib, false},
			{300 * kib, 30 * mib, 16 * mib, 4 * mib, false},
			{300 * kib, 30 * mib, 16 * mib, 4 * mib, false},
		},
		"quiet, then the store writes, then quiet": {
			{20 * mib, 30 * mib, 16 * mib, 0, false},
			{0, 30 * mib, 16 * mib, 0, false},
			{0, 30 * mib, 16 * mib, 0, false},
			{2 * mib, 32 * mib, 16 * mib, 0, false},
			{0, 32 * mib, 16 * mib, 0, false},
			{0, 32 * mib, 16 * mib, 0, false},
			{0, 32 * mib, 16 * mib, 0, true},
		},
		"not twice for the same": {
			{0, 30 * mib, 16 * mib, 0, false},
			{0, 30 * mib, 16 * mib, 0, false},
			{0, 30 * mib, 16 * mib, 0, true},
			{0, 16 * mib, 16 * mib, 0, false},
			{0, 16 * mib, 16 * mib, 0, false},
			{0, 16 * mib, 16 * mib, 0, false},
			{0, 16 * mib, 16 * mib, 0, false},
		},
		"too little for a large heap": {
			{0, 404 * mib, 400 * mib, 2 * mib, false},
			{0, 404 * mib, 400 * mib, 2 * mib, false},
			{0, 404 * mib, 400 * mib, 2 * mib, false},
			{0, 404 * mib, 400 * mib, 2*mib + 256*kib, true},
		},
		"too little for a small one": {
			{0, mib + 255*kib, mib, 0, false},
			{0, mib + 255*kib, mib, 0, false},
			{0, mib + 255*kib, mib, 0, false},
			{0, mib + 256*kib, mib, 0, true},
		},
		"objects are swept before they are counted": {
			{0, 15 * mib, 16 * mib, 100 * kib, false},
			{0, 15 * mib, 16 * mib, 100 * kib, false},
			{0, 15 * mib, 16 * mib, 100 * kib, false},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var q quietHeap
			allocated := uint64(0)
			for i, l := range looks {
				allocated += l.allocated
				if got := q.worth(heapState{allocated, l.objects, l.live, l.free}); got != l.worth {
					t.Fatalf("look %d: worth a collection: %v, want %v", i, got, l.worth)
				}
			}
		})
	}
}

// TestTheHeapIsRead makes the garbage itself, as the names of the runtime's figures are
// strings: one that it does not know would read as nothing for ever.
func TestTheHeapIsRead(t *testing.T) {
	const bytes = 64 << 20
	heap := newHeapReader()
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // no cycle of its own accord in between
	debug.FreeOSMemory()
	before := heap.read()
	garbage := make([]byte, bytes)
	held := heap.read()
	runtime.KeepAlive(garbage)
	if grown := held.allocated - before.allocated; grown < bytes {
		t.Errorf("%d bytes were allocated, the runtime says %d", bytes, grown)
	}
	if held.live == 0 || held.objects < held.live+bytes/2 {
		t.Errorf("%d bytes came after the last cycle, the runtime says %d objects and %d live", bytes, held.objects, held.live)
	}
	runtime.GC()
	runtime.GC() // the second one sweeps what the first one left
	if kept := heap.read(); kept.objects > held.objects-bytes/2 {
		t.Errorf("after a collection %d bytes of objects, before %d", kept.objects, held.objects)
	}
}

package main

import (
	"runtime"
	"runtime/debug"
	"testing"
)

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
	if grown := held.Allocated - before.Allocated; grown < bytes {
		t.Errorf("%d bytes were allocated, the runtime says %d", bytes, grown)
	}
	if held.Live == 0 || held.Objects < held.Live+bytes/2 {
		t.Errorf("%d bytes came after the last cycle, the runtime says %d objects and %d live", bytes, held.Objects, held.Live)
	}
	runtime.GC()
	runtime.GC() // the second one sweeps what the first one left
	if kept := heap.read(); kept.Objects > held.Objects-bytes/2 {
		t.Errorf("after a collection %d bytes of objects, before %d", kept.Objects, held.Objects)
	}
}

package main

import (
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/roostpush/roost/session/lifecycle"
)

// heapReader reads lifecycle.HeapStates without stopping the world. It belongs to one goroutine.
type heapReader []metrics.Sample

func newHeapReader() heapReader {
	return heapReader{
		{Name: "/gc/heap/allocs:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
	}
}

func (r heapReader) read() lifecycle.HeapState {
	metrics.Read(r)
	return lifecycle.HeapState{Allocated: r[0].Value.Uint64(), Objects: r[1].Value.Uint64(), Live: r[2].Value.Uint64(), Free: r[3].Value.Uint64()}
}

// giveBackWhenQuiet has lifecycle look at the heap and the messages until the node ends.
func (n *node) giveBackWhenQuiet() {
	tick := time.NewTicker(lifecycle.QuietLook)
	defer tick.Stop()
	heap := newHeapReader()
	look := func() lifecycle.HeapState {
		h, sockets, router := heap.read(), n.reactor.Stats(), n.router.Stats()
		h.Messages = sockets.MessagesIn + sockets.MessagesOut + router.Messages + router.Taken
		return h
	}
	var quiet lifecycle.QuietHeap
	quiet.Run(n.ended, tick.C, look, debug.FreeOSMemory)
}

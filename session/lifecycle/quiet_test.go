package lifecycle

import (
	"testing"
	"time"
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
			var q QuietHeap
			allocated := uint64(0)
			for i, l := range looks {
				allocated += l.allocated
				if got := q.Worth(HeapState{Allocated: allocated, Objects: l.objects, Live: l.live, Free: l.free}); got != l.worth {
					t.Fatalf("look %d: worth a collection: %v, want %v", i, got, l.worth)
				}
			}
		})
	}
}

// TestMemoryIsNotGivenBackUnderLoad: messages allocate nothing, but they would wait.
func TestMemoryIsNotGivenBackUnderLoad(t *testing.T) {
	var q QuietHeap
	h := HeapState{Objects: 30 << 20, Live: 16 << 20}
	for i := range 10 {
		if h.Messages += 101; q.Worth(h) {
			t.Fatalf("look %d: worth a collection at 101 messages a second", i)
		}
	}
	for i := range 3 {
		if h.Messages += 100; q.Worth(h) != (i == 2) {
			t.Fatalf("look %d at 100 messages a second: worth a collection: %v", i, i != 2)
		}
	}
}

// TestQuietHeapRuns: each look reads the heap once, and what is worth it is done then, once.
func TestQuietHeapRuns(t *testing.T) {
	quit, looks, done := make(chan struct{}), make(chan time.Time), make(chan struct{})
	reads, given := 0, []int{}
	var q QuietHeap
	go func() {
		defer close(done)
		q.Run(quit, looks, func() HeapState {
			reads++
			return HeapState{Allocated: 1 << 20, Objects: 30 << 20, Live: 16 << 20}
		}, func() { given = append(given, reads) })
	}()
	for range 7 {
		looks <- time.Time{}
	}
	close(quit)
	<-done
	if reads != 7 || len(given) != 2 || given[0] != 4 || given[1] != 7 {
		t.Errorf("%d looks, given back at %v, want 4 and 7: three quiet ones after the first, and three after that", reads, given)
	}
}

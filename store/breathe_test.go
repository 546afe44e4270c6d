package store

import (
	"os"
	"runtime"
	"sync/atomic"
	"testing"
)

// TestBreathLetsThePollerIn: on one processor, a goroutine whose descriptor is ready runs
// before one that breathes has breathed twice. To yield does not do that.
func TestBreathLetsThePollerIn(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	b := newBreath()
	defer b.close()
	const rounds = 100
	var read atomic.Int32
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		var one [1]byte
		for range rounds {
			if _, err := r.Read(one[:]); err != nil {
				t.Error(err)
				return
			}
			read.Add(1)
		}
	}()
	late := 0
	for n := range int32(rounds) {
		b.mu.Lock()
		b.wait() // the reader waits for its descriptor now
		b.wait()
		if _, err := w.Write([]byte{1}); err != nil {
			t.Fatal(err)
		}
		b.wait()
		b.wait()
		b.mu.Unlock()
		if read.Load() != n+1 {
			late++
		}
		for read.Load() != n+1 {
			runtime.Gosched()
		}
	}
	<-ended
	if late > rounds/10 { // the monitor thread may take a processor away between two lines
		t.Errorf("%d of %d times the reader had not run", late, rounds)
	}
}

// TestBreathAfterItsEnd: who breathes when the store is closed goes on.
func TestBreathAfterItsEnd(t *testing.T) {
	b := newBreath()
	if b.conn == nil {
		t.Fatal("no pipe")
	}
	b.close()
	b.close()
	b.last.Store(-int64(breathEvery)) // long ago
	b.take()
	if b.conn != nil || b.rung {
		t.Error("it still has its pipe")
	}
}

// TestBreathTogether: flushes and compactions of two databases and the pass breathe at the
// same time, and all come back.
func TestBreathTogether(t *testing.T) {
	b := newBreath()
	defer b.close()
	ended := make(chan struct{})
	const workers, breaths = 8, 200
	for range workers {
		go func() {
			for range breaths {
				b.last.Store(-int64(breathEvery))
				b.take()
			}
			ended <- struct{}{}
		}()
	}
	for range workers {
		<-ended
	}
}

package presence

import (
	"fmt"
	"runtime"
	"testing"
	"time"
)

// BenchmarkMemory reports what Config says of a watcher and of a device: bytes of Go's
// heap, names not counted, as a session has them already.
func BenchmarkMemory(b *testing.B) {
	const accounts = 10_000
	for _, others := range []int{0, 9} {
		b.Run(fmt.Sprint("others=", others), func(b *testing.B) {
			for b.Loop() {
				s := newScene(nil)
				for i := range accounts {
					for n := range others {
						s.open(fmt.Sprint("account", i), fmt.Sprint("device", n))
					}
					s.set(fmt.Sprint("account", i), "phone", true, 1)
				}
				before := heap()
				for i := range accounts {
					s.Watch(s.session(fmt.Sprint("account", i), "phone"))
				}
				s.pass(10 * time.Second)
				clear(s.lines)
				b.ReportMetric(float64(heap()-before)/accounts, "B/watcher")
				runtime.KeepAlive(s)
			}
		})
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

package store

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"
)

// rssChild measures as make bench-idle does: memory at 2,000 and at 18,000
// devices, each after a quiet time, opened at some 5,000 a second.
func rssChild() {
	notes := ""
	settle := func() int64 {
		time.Sleep(time.Second)
		debug.FreeOSMemory()
		time.Sleep(200 * time.Millisecond)
		debug.FreeOSMemory()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		notes += fmt.Sprintf("anon %d file %d heap in use %d alloc %d idle kept %d stack %d sys other %d\n", memory("RssAnon"), memory("RssFile"),
			m.HeapInuse, m.HeapAlloc, m.HeapIdle-m.HeapReleased, m.StackInuse, m.MSpanInuse+m.MCacheInuse+m.GCSys+m.OtherSys+m.BuckHashSys)
		return memory("VmRSS")
	}
	before := settle()
	cfg := Default()
	cfg.Directory = os.Getenv("DIR")
	cfg.QuietFlushAfter = 500 * time.Millisecond
	if n, err := strconv.Atoi(os.Getenv("MEMTABLE")); err == nil {
		cfg.MemTableBytes = n
	}
	s, err := Open(cfg, "n1", quiet, time.Now)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	number := uint64(0)
	fill := func(n int) int64 {
		for i := range n {
			number++
			sess := newSession(fmt.Sprint("account-", number), "device-1", number, time.Now().UnixMilli())
			s.Opened(sess, "roost-bench/1.0 (a user agent of usual length; like Mozilla)", "127.0.0.1:54321", nil)
			if i%50 == 0 {
				time.Sleep(10 * time.Millisecond)
			}
		}
		return settle()
	}
	few := fill(2000)
	many := fill(16_000)
	more := fill(32_000) // what is left of the slope when code pages and buffers are warm
	fmt.Println(float64(many-few)/16_000, many-before, float64(more-many)/32_000)
	if os.Getenv("VERBOSE") != "" {
		fmt.Fprintln(os.Stderr, notes)
		fmt.Fprintf(os.Stderr, "before %d few %d many %d %+v\n%s\n", before, few, many, s.Stats(), s.db.Metrics())
	}
	_ = s.Close()
}

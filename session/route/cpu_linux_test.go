package route

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// threadTime returns the processor time that this thread has had: what remains of a
// measurement on a machine where others are busy too. The caller has locked the thread.
func threadTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// residentBytes returns the memory of the process (proc(5), statm).
func residentBytes() (bytes int) {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, resident int
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		return 0
	}
	return resident * os.Getpagesize()
}

package generator

import "golang.org/x/sys/unix"

func monotonicNS() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic("generator: no monotonic clock: " + err.Error())
	}
	return t.Nano()
}

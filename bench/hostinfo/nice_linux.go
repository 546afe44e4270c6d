package hostinfo

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// yielding is by how much a thread that lets others go first is nicer. The kernel's scheduler
// gives it a third of what it had, and lets a thread that wakes take its place at once.
const yielding = 5

// LetOthersGoFirst makes the calling goroutine's thread give way to the process's others,
// until the function that it returns is called on the same goroutine: whoever sends by the
// clock must not wait until a report of it is packed or read (setpriority(2), which on Linux
// is about one thread). Where the priority may not be raised again, that thread stays as it is.
func LetOthersGoFirst() (undo func()) {
	runtime.LockOSThread()
	// The system call's answer is 20 less the nice value (getpriority(2), NOTES).
	raw, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		return runtime.UnlockOSThread
	}
	before := 20 - raw
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, before+yielding)
	return func() {
		_ = unix.Setpriority(unix.PRIO_PROCESS, 0, before)
		// Not ended with the goroutine: its children die with the thread (StartPinned).
		runtime.UnlockOSThread()
	}
}

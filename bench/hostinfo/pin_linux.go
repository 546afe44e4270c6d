package hostinfo

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// StartPinned starts a command whose threads may run on one core only, or as Unpinned and
// EveryCore say. A child
// inherits the mask of the thread that forks it (sched_setaffinity(2)), and a Go
// program sets GOMAXPROCS by that mask.
//
// It dies with this process: the kernel sends SIGKILL when the thread that forked it
// ends (prctl(2), PR_SET_PDEATHSIG), which Go's threads do not do before the process.
func StartPinned(cmd *exec.Cmd, cpu int) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if cpu == Unpinned {
		return cmd.Start()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return fmt.Errorf("read the affinity mask: %w", err)
	}
	if err := setAffinity(0, cpu); err != nil {
		return err
	}
	defer func() { _ = unix.SchedSetaffinity(0, &before) }()
	return cmd.Start()
}

func setAffinity(thread, cpu int) error {
	var mask unix.CPUSet
	if cpu == EveryCore {
		mask.Fill() // the kernel takes those that are there
	} else {
		mask.Set(cpu)
	}
	if err := unix.SchedSetaffinity(thread, &mask); err != nil {
		return fmt.Errorf("core %d is not there, or not allowed to this process: %w", cpu, err)
	}
	return nil
}

// PinSelf keeps every thread of this process on one core, until the function that it
// returns is called. New threads inherit the mask, so looking until there are no new
// ones catches all.
func PinSelf(cpu int) (undo func(), err error) {
	if cpu == Unpinned {
		return func() {}, nil
	}
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return nil, fmt.Errorf("read the affinity mask: %w", err)
	}
	// Said aloud, so that Go does not follow the mask in the middle of a round.
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	restore := func() {
		_ = eachThread(func(thread int) error { return unix.SchedSetaffinity(thread, &before) })
	}
	if err := eachThread(func(thread int) error { return setAffinity(thread, cpu) }); err != nil {
		restore()
		return nil, err
	}
	return restore, nil
}

// eachThread calls f for every thread of this process, those included that are
// started meanwhile.
func eachThread(f func(thread int) error) error {
	done := map[int]bool{}
	for found := true; found; {
		found = false
		entries, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, e := range entries {
			thread, err := strconv.Atoi(e.Name())
			if err != nil || done[thread] {
				continue
			}
			done[thread], found = true, true
			if err := f(thread); err != nil {
				return err
			}
		}
	}
	return nil
}

// ProcessCPU returns the CPU time, user + system of all threads, that a process has
// used, in nanoseconds where /proc/PID/stat counts in steps of 10 ms: the clock of
// clock_getcpuclockid(3), whose number Linux makes of the process id (CPUCLOCK_SCHED
// in include/linux/posix-timers.h).
func ProcessCPU(pid int) (time.Duration, bool) {
	const schedClock = 2
	var ts unix.Timespec
	if pid <= 0 || unix.ClockGettime(int32(^pid<<3|schedClock), &ts) != nil {
		return 0, false
	}
	return time.Duration(ts.Nano()), true
}

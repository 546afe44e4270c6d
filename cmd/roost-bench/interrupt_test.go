//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// twiceVariable makes the test binary a process that interrupts itself a second time as
// soon as it sees the first. It does so by SIGTERM: a shell has what it starts in the
// background ignore SIGINT, and the runtime restores that.
const twiceVariable = "ROOST_BENCH_TEST_TWICE"

func interruptTwice() {
	ctx, stop := interruptible(context.Background())
	defer stop()
	runtime.LockOSThread()
	_ = unix.Tgkill(os.Getpid(), unix.Gettid(), unix.SIGTERM)
	<-ctx.Done()
	// To this thread, so that it has come when the call returns.
	_ = unix.Tgkill(os.Getpid(), unix.Gettid(), unix.SIGTERM)
	fmt.Println("swallowed")
	select {}
}

// TestTheSecondInterruptEndsAtOnce sends it the moment the first is seen, again and again,
// since a handler that is still there for a moment is not always met.
func TestTheSecondInterruptEndsAtOnce(t *testing.T) {
	for range 20 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), twiceVariable+"=yes")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timeout := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
		if n, _ := out.Read(make([]byte, 1)); n > 0 { // else it ended without a word
			_ = cmd.Process.Kill()
		}
		err = cmd.Wait()
		timeout.Stop()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
			t.Fatalf("the second interrupt was swallowed: %v", err)
		}
	}
}

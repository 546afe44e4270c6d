package generator

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A generator that comes round late still knows when the message came.
func TestArrivalIsTheKernels(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	raw, err := near.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var fd int
	if err := raw.Control(func(f uintptr) { fd = int(f) }); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		t.Skip("this kernel does not stamp: ", err)
	}
	lp := &loop{clock: NewClock()}
	buffer := make([]byte, 100)
	if _, _, errno := lp.stamps.read(fd, buffer); errno != unix.EAGAIN {
		t.Errorf("nothing to read: %v", errno)
	}
	// The first packets may have been on their way before stamping began everywhere.
	for try := 0; ; try++ {
		written := lp.clock.Now()
		if _, err := far.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		readable(t, fd)
		time.Sleep(50 * time.Millisecond) // the generator is late
		lp.syncStamps()
		n, arrived, errno := lp.stamps.read(fd, buffer)
		late := lp.clock.Now()
		if errno != 0 || n != 5 {
			t.Fatalf("%d bytes, %v", n, errno)
		}
		if arrived == 0 && try < 20 {
			continue
		}
		// A millisecond of tolerance, since two clocks are compared.
		if arrived < written-1e6 || arrived > late-49e6 {
			t.Errorf("written at 0, read after %v, arrived after %v", time.Duration(late-written), time.Duration(arrived-written))
		}
		break
	}
	far.Close()
	readable(t, fd)
	if n, _, errno := lp.stamps.read(fd, buffer); n != 0 || errno != 0 {
		t.Errorf("at the end: %d bytes, %v", n, errno)
	}
}

// Who will ask for times of arrival asks from the beginning.
func TestStampsAreHeld(t *testing.T) {
	for _, c := range []struct {
		phase Phase
		held  bool
	}{
		{Phase{Kind: Echo, PerSecond: 10}, false},
		{Phase{Kind: Push, Window: 10}, false},
		{Phase{Kind: Push, PerSecond: 10}, true},
		{Phase{Kind: Relay, PerSecond: 10}, true},
		{Phase{Kind: Mix, Parts: []Phase{{Kind: Echo}, {Kind: Push, PerSecond: 10}}}, true},
	} {
		if got := c.phase.stamps(); got != c.held {
			t.Errorf("%+v: %v", c.phase, got)
		}
	}
	hold := holdStamps()
	if hold < 0 {
		t.Skip("this kernel does not stamp")
	}
	defer unix.Close(hold)
	if on, err := unix.GetsockoptInt(hold, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS); on == 0 || err != nil {
		t.Errorf("asked for: %d, %v", on, err)
	}
}

// readable waits until something can be read, or the end.
func readable(t *testing.T, fd int) {
	t.Helper()
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, int(time.Minute/time.Millisecond))
		if err == unix.EINTR {
			continue
		}
		if n != 1 || err != nil {
			t.Fatalf("nothing came: %v", err)
		}
		return
	}
}

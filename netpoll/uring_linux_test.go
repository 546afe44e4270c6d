package netpoll

import (
	"bytes"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// pair is two ends of a stream; b takes some 4 KiB that a has not read.
func pair(t *testing.T) (a, b int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
	if err := unix.SetsockoptInt(fds[1], unix.SOL_SOCKET, unix.SO_SNDBUF, 4<<10); err != nil {
		t.Fatal(err)
	}
	return fds[0], fds[1]
}

// uringOrSkip returns a uring where the kernel lets this process have one.
func uringOrSkip(t *testing.T, calls uint32) *uring {
	t.Helper()
	u, err := newURing(calls)
	if err != nil {
		t.Skipf("calls are not made together here: %v", err)
	}
	t.Cleanup(u.close)
	return u
}

// TestURing makes calls together that the kernel takes whole, in part and not at all, round
// after round, so that the rings come around.
func TestURing(t *testing.T) {
	u := uringOrSkip(t, 8)
	big := bytes.Repeat([]byte("x"), 1<<20)
	for round := range 5 {
		a, b := pair(t)
		fullA, full := pair(t)
		_, partly := pair(t)
		gone, left := pair(t)
		unix.Close(gone)
		for writeOne := true; writeOne; {
			_, err := writeSocket(int32(full), big[:100])
			writeOne = err == nil
		}
		u.send(int32(b), []byte("hello"))
		u.send(int32(full), []byte("hello"))
		u.send(int32(partly), big)
		u.send(int32(left), []byte("hello"))
		u.send(-1, []byte("hello"))
		got := slices.Clone(u.run())
		if got[2] <= 0 || got[2] >= len(big) {
			t.Errorf("round %d: of a write for which there is too little room %d bytes were taken", round, got[2])
		}
		got[2] = 0
		if want := []int{5, -int(unix.EAGAIN), 0, -int(unix.EPIPE), -int(unix.EBADF)}; !slices.Equal(got, want) {
			t.Errorf("round %d: writes came to %d, want %d", round, got, want)
		}
		buf := make([]byte, 64)
		u.recv(int32(a), buf[:16])
		u.recv(int32(b), buf[16:32])
		u.recv(int32(left), buf[32:48])
		u.recv(int32(fullA), buf[48:])
		got = u.run()
		if want := []int{5, -int(unix.EAGAIN), 0, 16}; !slices.Equal(got, want) || string(buf[:5]) != "hello" || buf[48] != 'x' {
			t.Errorf("round %d: reads came to %d, want %d; %q", round, got, want, buf)
		}
		if got := u.run(); len(got) != 0 || u.failed {
			t.Errorf("round %d: no call came to %d, failed: %v", round, got, u.failed)
		}
	}
}

// TestURingThatFails is told so, and what was not made is as if there had been no room.
func TestURingThatFails(t *testing.T) {
	u := uringOrSkip(t, 8)
	_, b := pair(t)
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Dup3(null, u.fd, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	unix.Close(null)
	u.send(int32(b), []byte("hello"))
	if got := u.run(); !slices.Equal(got, []int{-int(unix.EAGAIN)}) || !u.failed {
		t.Errorf("a call that was not made came to %d, failed: %v", got, u.failed)
	}
}

// TestURingAllocatesNothing holds for what a loop does with it.
func TestURingAllocatesNothing(t *testing.T) {
	u := uringOrSkip(t, 8)
	a, b := pair(t)
	buf := make([]byte, 16)
	if n := testing.AllocsPerRun(100, func() {
		u.send(int32(b), []byte("hello"))
		u.run()
		u.recv(int32(a), buf)
		u.run()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

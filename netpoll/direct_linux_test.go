package netpoll

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// connected returns both ends of a connection, the first with calls of its own.
func connected(t *testing.T) (c net.Conn, other *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dialed, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c = Direct(dialed)
	if _, ok := c.(*directConn); !ok {
		t.Fatalf("it is a %T", c)
	}
	t.Cleanup(func() { _, _ = c.Close(), accepted.Close() })
	return c, accepted.(*net.TCPConn)
}

// TestDirectCarries sends more each way than the kernel has room for: both calls wait.
func TestDirectCarries(t *testing.T) {
	c, other := connected(t)
	text := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	echoed := make(chan error, 1)
	go func() {
		all := make([]byte, len(text)) // it is read whole before it goes back
		_, err := io.ReadFull(other, all)
		if err == nil {
			_, err = other.Write(all)
		}
		echoed <- errors.Join(err, other.CloseWrite())
	}()
	if n, err := c.Write(text); n != len(text) || err != nil {
		t.Fatalf("%d bytes were written, %v", n, err)
	}
	back, err := io.ReadAll(c) // its end is an EOF
	if err != nil || !bytes.Equal(back, text) {
		t.Errorf("%d bytes came back, %v", len(back), err)
	}
	if err := <-echoed; err != nil {
		t.Error(err)
	}
	if n, err := c.Read(nil); n != 0 || err != nil {
		t.Errorf("a read of nothing: %d, %v", n, err)
	}
	if n, err := c.Write(nil); n != 0 || err != nil {
		t.Errorf("a write of nothing: %d, %v", n, err)
	}
}

// TestDirectFails has calls end that cannot go on, those that wait included.
func TestDirectFails(t *testing.T) {
	full := make([]byte, 16<<20) // more than the kernel takes
	for _, c := range []struct {
		name string
		do   func(c net.Conn, other *net.TCPConn)
		want error
	}{
		{"deadline", func(c net.Conn, _ *net.TCPConn) { _ = c.SetDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
		{"closed", func(c net.Conn, _ *net.TCPConn) { _ = c.Close() }, net.ErrClosed},
		{"reset", func(_ net.Conn, other *net.TCPConn) { _, _ = other.SetLinger(0), other.Close() }, syscall.ECONNRESET},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, other := connected(t)
			var room [1]byte
			read, written := make(chan error, 1), make(chan error, 1)
			go func() {
				_, err := conn.Read(room[:])
				read <- err
			}()
			go func() {
				n, err := conn.Write(full)
				if n == len(full) {
					err = errors.New("all of it was written")
				}
				written <- err
			}()
			c.do(conn, other)
			reading, writing := <-read, <-written
			if reading == nil || writing == nil || !errors.Is(errors.Join(reading, writing), c.want) {
				t.Errorf("read: %v; write: %v", reading, writing)
			}
			// A reset is told to one of the two; the other finds the end.
			if c.want != syscall.ECONNRESET && !(errors.Is(reading, c.want) && errors.Is(writing, c.want)) {
				t.Errorf("read: %v; write: %v", reading, writing)
			}
			// net/http looks for these: a request whose connection is gone is no bad request.
			for op, err := range map[string]error{"read": reading, "write": writing} {
				if e, ok := err.(*net.OpError); !ok && err != io.EOF || ok && e.Op != op {
					t.Errorf("%s: %#v", op, err)
				}
			}
		})
	}
}

func TestDirectListener(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln = DirectListener(ln)
	dialed, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer dialed.Close()
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	if _, ok := accepted.(*directConn); !ok {
		t.Errorf("it is a %T", accepted)
	}
	_ = ln.Close()
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed listener: %v", err)
	}
}

func TestDirectAllocatesNothing(t *testing.T) {
	c, other := connected(t)
	text := []byte("a frame")
	room := make([]byte, len(text))
	if n := testing.AllocsPerRun(100, func() {
		_, err := c.Write(text)
		if err == nil {
			_, err = io.ReadFull(other, room)
		}
		if err == nil {
			_, err = other.Write(room)
		}
		if err == nil {
			_, err = io.ReadFull(c, room)
		}
		if err != nil {
			t.Fatal(err)
		}
	}); n > 0 && !raceEnabled {
		t.Errorf("%v allocations", n)
	}
}

package generator

import (
	"encoding/binary"
	"unsafe"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"

	"github.com/roostpush/roost/bench/tally"
)

// HOT PATH

// The opcodes of RFC 6455 section 5.2.
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xa
)

// mask returns a masking key. RFC 6455 section 5.3 wants it unpredictable to protect
// proxies from scripts in a browser; no script runs here, so xorshift will do.
func (l *loop) mask() (key [4]byte) {
	l.masks ^= l.masks << 13
	l.masks ^= l.masks >> 7
	l.masks ^= l.masks << 17
	binary.LittleEndian.PutUint32(key[:], uint32(l.masks))
	return key
}

// appendFrame appends a whole masked frame.
func (l *loop) appendFrame(dst []byte, opcode byte, payload []byte) []byte {
	dst = append(dst, 0x80|opcode)
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, 0x80|byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, 0x80|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, 0x80|127), uint64(n))
	}
	key := l.mask()
	dst = append(dst, key[:]...)
	start := len(dst)
	dst = append(dst, payload...)
	ws.Cipher(dst[start:], key, 0)
	return dst
}

// send sends one frame; false means that the connection's buffer is full and nothing
// was taken. The payload is borrowed.
func (l *loop) send(c *conn, opcode byte, payload []byte) bool {
	if c.rare && len(l.rare[c.slot].unsent) > l.plan.Config.OutBytesMax {
		return false
	}
	l.scratch = l.appendFrame(l.scratch[:0], opcode, payload)
	l.write(c, l.scratch)
	return true
}

// write hands bytes to the kernel and keeps what it does not take. An error is left
// to the read that will meet it too: ending a connection here would pull it away
// from under its callers.
func (l *loop) write(c *conn, data []byte) {
	if c.rare && len(l.rare[c.slot].unsent) > 0 {
		r := l.rare[c.slot]
		r.unsent = append(r.unsent, data...)
		return
	}
	n := l.writeSome(c, data)
	if n < len(data) {
		r := l.rareOf(c)
		r.unsent = append(r.unsent, data[n:]...)
	}
}

// flush goes on with what the kernel did not take before.
func (l *loop) flush(c *conn) {
	r := l.rare[c.slot]
	if len(r.unsent) == 0 {
		return
	}
	n := l.writeSome(c, r.unsent)
	r.unsent = r.unsent[:copy(r.unsent, r.unsent[n:])]
	l.settle(c, r)
}

func (l *loop) writeSome(c *conn, data []byte) int {
	n, errno := rawWrite(int(c.fd), data)
	if errno != 0 {
		if errno != unix.EAGAIN {
			return len(data) // broken: the read will say so
		}
		return 0
	}
	l.since.Add(tally.BytesOut, int64(n))
	return n
}

// rareOf returns the connection's rare part, making it.
func (l *loop) rareOf(c *conn) *rare {
	if !c.rare {
		c.rare = true
		l.rare[c.slot] = &rare{}
	}
	return l.rare[c.slot]
}

// settle drops the rare part once it is empty.
func (l *loop) settle(c *conn, r *rare) {
	if len(r.unsent) == 0 && len(r.unparsed) == 0 && !r.inside {
		c.rare = false
		delete(l.rare, c.slot)
	}
}

// rawWrite is write(2) on a socket that never blocks; Go's scheduler need not know,
// which saves a tenth of the cost. MSG_NOSIGNAL: a broken pipe is an error, no signal.
func rawWrite(fd int, data []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(data))),
		uintptr(len(data)), unix.MSG_NOSIGNAL, 0, 0)
	return int(n), errno
}

func rawRead(fd int, buffer []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(buffer))), uintptr(len(buffer)))
	return int(n), errno
}

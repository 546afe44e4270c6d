package main

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/gobwas/ws"
)

// errFrame ends a connection that does not mask (RFC 6455 section 5.1).
var errFrame = errors.New("not a client's frame")

// echoes is what echoFrames made of its input.
type echoes struct {
	begin, end int  // the answers stand in data[begin:end]
	done       int  // bytes of whole frames; the rest must be kept
	closing    bool // the last answer is a close frame
}

// echoFrames turns the whole masked frames at the start of data into their answers,
// in place: a server's frame is the client's less its mask, so the first answer needs
// no copy. A fragment is answered by a fragment, a ping by a pong, a close by a close.
func echoFrames(data []byte) (e echoes, err error) {
	for !e.closing {
		d := data[e.done:]
		head, size := frameSize(d)
		if head == 0 || len(d) < size {
			return e, nil
		}
		if d[1]&0x80 == 0 {
			return e, errFrame
		}
		mask := [4]byte(d[head : head+4])
		ws.Cipher(d[head+4:size], mask, 0)
		copy(d[4:], d[:head]) // over the mask
		d[5] &= 0x7f
		frame := d[4:size]
		e.done += size
		switch ws.OpCode(d[0] & 0x0f) {
		case ws.OpPong:
			continue
		case ws.OpPing:
			frame[0] = 0x80 | byte(ws.OpPong)
		case ws.OpClose:
			e.closing = true
		}
		if e.end == 0 {
			e.begin = e.done - len(frame)
			e.end = e.done
		} else {
			e.end += copy(data[e.end:], frame)
		}
	}
	return e, nil
}

// frameSize returns the length of a frame's header without the mask and of the whole
// frame with it; 0 when more bytes are needed to tell.
func frameSize(d []byte) (head, size int) {
	if len(d) < 2 {
		return 0, 0
	}
	head, size = 2, int(d[1]&0x7f)
	switch size {
	case 126:
		if head = 4; len(d) < head {
			return 0, 0
		}
		size = int(binary.BigEndian.Uint16(d[2:]))
	case 127:
		if head = 10; len(d) < head {
			return 0, 0
		}
		size = int(binary.BigEndian.Uint64(d[2:]) & (1<<31 - 1))
	}
	return head, head + 4 + size
}

// handshake runs gobwas/ws's Upgrader over a request that has arrived whole; its
// answer is left in out. It is reused for every connection of a loop.
type handshake struct {
	in  bytes.Reader
	out []byte
}

var requestEnd = []byte("\r\n\r\n")

func (h *handshake) Read(p []byte) (int, error) { return h.in.Read(p) }

func (h *handshake) Write(p []byte) (int, error) {
	h.out = append(h.out, p...)
	return len(p), nil
}

// upgrade returns the length of the request, 0 when it is not whole yet.
func (h *handshake) upgrade(data []byte) (done int, err error) {
	end := bytes.Index(data, requestEnd)
	if end < 0 {
		return 0, nil
	}
	done = end + len(requestEnd)
	h.in.Reset(data[:done])
	h.out = h.out[:0]
	_, err = ws.Upgrader{}.Upgrade(h)
	return done, err
}

package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/gobwas/ws"
)

// deviceFrameBytesMax bounds what connect takes from a node and sends to one: a
// service's payload of 1 MiB, as base64, in its frame.
const deviceFrameBytesMax = 4 << 20

// goodbyeTimeout is how long a node may take to answer a close.
const goodbyeTimeout = 3 * time.Second

// device is the client's side of one WebSocket, for a person's pace. One
// goroutine may call next; any may call send and leave.
type device struct {
	conn net.Conn
	in   io.Reader

	mu sync.Mutex // one frame at a time
}

func newDevice(conn net.Conn, buffered *bufio.Reader) *device {
	d := &device{conn: conn, in: conn}
	if buffered != nil {
		d.in = buffered // frames that came with the answer to the upgrade
	}
	return d
}

// closedError is a close frame.
type closedError struct {
	code   ws.StatusCode
	reason string
}

func (e *closedError) Error() string {
	text := fmt.Sprintf("%d", e.code)
	if e.reason != "" {
		text += " " + e.reason
	}
	return text
}

// next returns the next message, whole. It answers pings and closes by itself; a
// close is a *closedError.
func (d *device) next() (ws.OpCode, []byte, error) {
	var opcode ws.OpCode
	var message []byte
	for {
		header, err := ws.ReadHeader(d.in)
		if err != nil {
			return 0, nil, err
		}
		if header.Masked || header.Length > int64(deviceFrameBytesMax-len(message)) {
			return 0, nil, errors.New("the node sent a frame that is masked or too large")
		}
		payload := make([]byte, header.Length)
		if _, err := io.ReadFull(d.in, payload); err != nil {
			return 0, nil, err
		}
		switch header.OpCode {
		case ws.OpPing:
			if err := d.send(ws.OpPong, payload); err != nil {
				return 0, nil, err
			}
		case ws.OpPong:
		case ws.OpClose:
			code, reason := ws.StatusNoStatusRcvd, ""
			if len(payload) >= 2 {
				code, reason = ws.StatusCode(binary.BigEndian.Uint16(payload)), string(payload[2:])
			}
			d.leave(code)
			return 0, nil, &closedError{code, reason}
		default:
			if header.OpCode != ws.OpContinuation {
				opcode = header.OpCode
			}
			if message = append(message, payload...); header.Fin {
				return opcode, message, nil
			}
		}
	}
}

// send writes one frame. The payload is borrowed.
func (d *device) send(opcode ws.OpCode, payload []byte) error {
	frame, err := ws.CompileFrame(ws.MaskFrame(ws.NewFrame(opcode, true, payload)))
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	_, err = d.conn.Write(frame)
	return err
}

// leave sends a close and gives the node a moment to answer it. A connection
// that is already broken takes none, which changes nothing.
func (d *device) leave(code ws.StatusCode) {
	var body []byte
	if code != ws.StatusNoStatusRcvd {
		body = ws.NewCloseFrameBody(code, "")
	}
	_ = d.send(ws.OpClose, body)
	_ = d.conn.SetReadDeadline(time.Now().Add(goodbyeTimeout))
}

// goodbye leaves and waits for the node's answer, so that what was sent before
// has arrived. Messages that come in between are dropped, unacknowledged.
func (d *device) goodbye() error {
	d.leave(ws.StatusNormalClosure)
	for {
		_, _, err := d.next()
		var closed *closedError
		if errors.As(err, &closed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the node did not answer the close: %w", err)
		}
	}
}

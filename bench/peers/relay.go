package main

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/gobwas/ws"
)

// serveRelay is the floor of messages between devices: it reads a frame, writes its
// payload to the device that it names and a result to the sender, with one write(2)
// each. It speaks as much of Roost's protocol as roost-bench relay does, looks at bytes
// where a server would parse, and keeps nothing but who is who.
func serveRelay(o options) error {
	l, err := listen(o.listen)
	if err != nil {
		return err
	}
	bare, err := newBareLoop(l, pastScheduler)
	if err != nil {
		return err
	}
	r := &relayLoop{bareLoop: bare, devices: map[string]*bareConn{}, names: map[*bareConn]string{}}
	bare.serve = r.take
	o.ready("relay server", l.Addr())
	return r.poller.Polling(r.handle)
}

type relayLoop struct {
	*bareLoop
	devices map[string]*bareConn // by account/device
	names   map[*bareConn]string // the account, for what it sends
	frame   []byte
	key     []byte
}

var errRelay = errors.New("not a send frame of roost-bench relay")

func (l *relayLoop) take(c *bareConn, data []byte) error {
	if len(c.rest) > 0 {
		c.rest = append(c.rest, data...)
		data = c.rest
	}
	if !c.open {
		done, err := l.handshake.upgrade(data)
		if done == 0 || err != nil {
			c.keep(data)
			return err
		}
		account, device := queryValue(data[:done], "account="), queryValue(data[:done], "device=")
		l.devices[account+"/"+device], l.names[c] = c, account
		c.open, data = true, data[done:]
		if err := l.writeAll(c.fd, l.handshake.out); err != nil {
			return err
		}
	}
	for {
		head, size := frameSize(data)
		if head == 0 || len(data) < size {
			break
		}
		ws.Cipher(data[head+4:size], [4]byte(data[head:head+4]), 0)
		if ws.OpCode(data[0]&0x0f) == ws.OpText {
			if err := l.relay(c, data[head+4:size]); err != nil {
				return err
			}
		}
		data = data[size:]
	}
	c.keep(data)
	return nil
}

// relay handles {"type":"send","id":"X","to":{"device":"Y"},"payload":P}.
func (l *relayLoop) relay(c *bareConn, text []byte) error {
	_, rest, ok1 := bytes.Cut(text, []byte(`"id":"`))
	id, rest, ok2 := bytes.Cut(rest, []byte(`","to":{"device":"`))
	device, payload, ok3 := bytes.Cut(rest, []byte(`"},"payload":`))
	if !ok1 || !ok2 || !ok3 || len(payload) == 0 {
		return errRelay
	}
	l.key = append(append(append(l.key[:0], l.names[c]...), '/'), device...)
	to := l.devices[string(l.key)]
	if to == nil {
		return fmt.Errorf("%w: there is no device %s", errRelay, l.key)
	}
	l.begin(len(`{"type":"message","id":"0123456789012","payload":,"from":{"device":""},"sent_ms":1700000000000}`) + len(payload) - 1 + len(device))
	l.frame = append(l.frame, `{"type":"message","id":"0123456789012","payload":`...)
	l.frame = append(l.frame, payload[:len(payload)-1]...)
	l.frame = append(append(l.frame, `,"from":{"device":"`...), device...)
	l.frame = append(l.frame, `"},"sent_ms":1700000000000}`...)
	if err := l.writeAll(to.fd, l.frame); err != nil {
		return err
	}
	l.begin(len(`{"type":"result","ref":"","status":"written"}`) + len(id))
	l.frame = append(append(l.frame, `{"type":"result","ref":"`...), id...)
	l.frame = append(l.frame, `","status":"written"}`...)
	return l.writeAll(c.fd, l.frame)
}

// begin starts a server's text frame of n bytes.
func (l *relayLoop) begin(n int) {
	l.frame = append(l.frame[:0], 0x80|byte(ws.OpText))
	if n < 126 {
		l.frame = append(l.frame, byte(n))
	} else {
		l.frame = append(l.frame, 126, byte(n>>8), byte(n))
	}
}

// queryValue finds a value in the request line; it stands there as it is.
func queryValue(request []byte, name string) string {
	line, _, _ := bytes.Cut(request, []byte("\r\n"))
	_, value, _ := bytes.Cut(line, []byte(name))
	if end := bytes.IndexAny(value, "& "); end >= 0 {
		value = value[:end]
	}
	return string(value)
}

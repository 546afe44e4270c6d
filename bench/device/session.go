package device

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/url"
	"time"

	"github.com/gobwas/ws"
)

// Limits of a session.
const (
	openTimeout  = 5 * time.Second // to connect, upgrade and read hello
	writeTimeout = 5 * time.Second
	closeTimeout = 5 * time.Second // for the answer to a close
	frameMax     = 1 << 20         // bytes of a payload
)

// Session is one connection of a device, from its hello to its end. One goroutine calls
// Next; everything else may be called by any.
type Session struct {
	Hello Frame // the node's first frame; read only

	conn net.Conn
	in   *bufio.Reader
}

// Frame is what is read of a frame of the node. It is the caller's.
type Frame struct {
	Type        string          `json:"type"`
	Node        string          `json:"node"` // hello
	Missed      int             `json:"missed"`
	ID          string          `json:"id"` // message
	Ack         bool            `json:"ack"`
	Payload     json.RawMessage `json:"payload"`
	ReconnectMS int64           `json:"reconnect_ms"` // goaway
}

// Closed is the error of a session that the node has ended with a close frame, which
// was answered.
type Closed struct {
	Code      uint16        // 1005: it had none (RFC 6455 section 7.4.1)
	Reconnect time.Duration // after which the node wants the device back; 0: it did not say
}

// Error is error.
func (c *Closed) Error() string { return fmt.Sprintf("closed by the node with %d", c.Code) }

// Open connects a device to the node at public, host:port, and reads its hello.
// bufferBytes is what may be read at once: a few hundred for a device that mostly idles,
// some thousand for one that is to be fast. It blocks for some seconds at most.
func Open(ctx context.Context, public, account, name string, bufferBytes int) (*Session, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	query := url.Values{"account": {account}, "device": {name}}
	conn, early, _, err := ws.Dialer{}.Dial(ctx, fmt.Sprintf("ws://%s/ws?%s", public, query.Encode()))
	if err != nil {
		return nil, fmt.Errorf("device: %s/%s: %w", account, name, err)
	}
	s := &Session{conn: conn, in: bufio.NewReaderSize(withEarly(early, conn), bufferBytes)}
	end := context.AfterFunc(ctx, func() { conn.Close() }) // the dialer's deadline is over
	s.Hello, err = s.Next()
	if !end() {
		err = ctx.Err()
	}
	if err == nil && s.Hello.Type != "hello" {
		err = fmt.Errorf("the first frame is %q and not hello", s.Hello.Type)
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("device: %s/%s: %w", account, name, err)
	}
	return s, nil
}

// withEarly reads what came with the answer to the upgrade first. The dialer's buffer,
// which holds it, is given back: it would be 4 KB for each device.
func withEarly(early *bufio.Reader, conn net.Conn) io.Reader {
	if early == nil {
		return conn
	}
	rest := make([]byte, early.Buffered())
	_, _ = io.ReadFull(early, rest) // it has them
	ws.PutReader(early)
	return io.MultiReader(bytes.NewReader(rest), conn)
}

// Next returns the next text frame and answers pings and a close meanwhile. An error is
// the session's end: *Closed when the node said so. It blocks until there is a frame.
func (s *Session) Next() (f Frame, err error) {
	for {
		h, err := ws.ReadHeader(s.in)
		if err != nil {
			return f, err
		}
		if h.Length > frameMax || !h.Fin || h.Masked {
			return f, fmt.Errorf("device: a frame that no node sends: %+v", h)
		}
		body := make([]byte, h.Length)
		if _, err := io.ReadFull(s.in, body); err != nil {
			return f, err
		}
		switch h.OpCode {
		case ws.OpText:
			if err := json.Unmarshal(body, &f); err != nil {
				return f, fmt.Errorf("device: a frame that is no JSON, %.80q: %w", body, err)
			}
			return f, nil
		case ws.OpPing:
			if err := s.send(ws.OpPong, body); err != nil {
				return f, err
			}
		case ws.OpClose:
			return f, s.closed(body)
		}
	}
}

// closed takes the close frame of the node, and answers it.
func (s *Session) closed(body []byte) *Closed {
	c := &Closed{Code: uint16(ws.StatusNoStatusRcvd)}
	answer := ws.StatusNormalClosure
	if len(body) >= 2 {
		c.Code = binary.BigEndian.Uint16(body)
		answer = ws.StatusCode(c.Code)
		var reason Frame
		if json.Unmarshal(body[2:], &reason) == nil {
			c.Reconnect = time.Duration(reason.ReconnectMS) * time.Millisecond
		}
	}
	_ = s.send(ws.OpClose, ws.NewCloseFrameBody(answer, "")) // whoever does not hear it has gone
	return c
}

// Ack says that the device has a message.
func (s *Session) Ack(id string) error {
	return s.send(ws.OpText, fmt.Appendf(nil, `{"type":"ack","ids":[%q]}`, id))
}

func (s *Session) send(op ws.OpCode, body []byte) error {
	frame, err := ws.CompileFrame(ws.MaskFrameInPlace(ws.NewFrame(op, true, body)))
	if err != nil {
		return err
	}
	_ = s.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, err = s.conn.Write(frame)
	return err
}

// ReadUntil lets Next fail from a moment on; the zero time: never.
func (s *Session) ReadUntil(end time.Time) error { return s.conn.SetReadDeadline(end) }

// HangUp says goodbye; the node's answer, or some time, ends the session.
func (s *Session) HangUp() {
	_ = s.send(ws.OpClose, ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))
	_ = s.conn.SetReadDeadline(time.Now().Add(closeTimeout))
}

// Close ends the session without a goodbye; Next fails from then on.
func (s *Session) Close() error { return s.conn.Close() }

package disruption

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/gobwas/ws"
)

// session is one connection of a device, from its hello. The goroutine that holds it
// reads it; hangUp may be called by any.
type session struct {
	node int
	conn net.Conn
	in   io.Reader
	told time.Duration // after which the node wants it back; 0: it did not say
}

// Limits of a session.
const (
	dialTimeout  = 5 * time.Second // to connect, upgrade and read hello
	writeTimeout = 5 * time.Second
	closeTimeout = 5 * time.Second // for the answer to a close
	frameMax     = 1 << 20
)

// envelope is what is read of a frame.
type envelope struct {
	Type        string          `json:"type"`
	Node        string          `json:"node"`
	Payload     json.RawMessage `json:"payload"`
	ReconnectMS int64           `json:"reconnect_ms"`
}

// open connects a device to a node and reads its hello.
func open(ctx context.Context, node int, n Node, name string) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, buffered, _, err := ws.Dialer{}.Dial(ctx, fmt.Sprintf("ws://%s/ws?account=%s&device=%s", n.Public, name, name))
	if err != nil {
		return nil, err
	}
	s := &session{node: node, conn: conn, in: conn}
	if buffered != nil {
		s.in = leftover(buffered, conn)
	}
	_ = conn.SetReadDeadline(time.Now().Add(dialTimeout))
	hello, err := s.next()
	if err == nil && (hello.Type != "hello" || hello.Node != n.Name) {
		err = fmt.Errorf("the first frame from %s is %s of node %q", n.Name, hello.Type, hello.Node)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	_ = conn.SetReadDeadline(time.Time{})
	return s, nil
}

// leftover reads what came with the answer to the upgrade, and lets go of its buffer,
// which would be 4 KB for each device.
func leftover(buffered *bufio.Reader, conn net.Conn) io.Reader {
	rest := make([]byte, buffered.Buffered())
	_, _ = io.ReadFull(buffered, rest)
	ws.PutReader(buffered)
	return io.MultiReader(&remains{rest}, conn)
}

// remains reads bytes once.
type remains struct{ rest []byte }

// Read is io.Reader.
func (r *remains) Read(p []byte) (int, error) {
	n := copy(p, r.rest)
	if r.rest = r.rest[n:]; n == 0 {
		r.rest = nil
		return 0, io.EOF
	}
	return n, nil
}

// errClosed says that the node closed the session with a close frame.
var errClosed = errors.New("closed by the node")

// next returns the next text frame. Pings and closes are answered.
func (s *session) next() (envelope, error) {
	var e envelope
	for {
		h, err := ws.ReadHeader(s.in)
		if err != nil {
			return e, err
		}
		if h.Length > frameMax || !h.Fin || h.Masked {
			return e, fmt.Errorf("a frame that no node sends: %+v", h)
		}
		body := make([]byte, h.Length)
		if _, err := io.ReadFull(s.in, body); err != nil {
			return e, err
		}
		switch h.OpCode {
		case ws.OpText:
			return e, json.Unmarshal(body, &e)
		case ws.OpPing:
			if err := s.send(ws.OpPong, body); err != nil {
				return e, err
			}
		case ws.OpClose:
			s.closed(body)
			return e, errClosed
		}
	}
}

// closed takes the close frame of the node, and answers it.
func (s *session) closed(body []byte) {
	var reason struct {
		ReconnectMS int64 `json:"reconnect_ms"`
	}
	if len(body) > 2 && json.Unmarshal(body[2:], &reason) == nil {
		s.told = time.Duration(reason.ReconnectMS) * time.Millisecond
	}
	code := ws.StatusNormalClosure
	if len(body) >= 2 {
		code = ws.StatusCode(binary.BigEndian.Uint16(body))
	}
	_ = s.send(ws.OpClose, ws.NewCloseFrameBody(code, ""))
}

func (s *session) send(op ws.OpCode, body []byte) error {
	frame, err := ws.CompileFrame(ws.MaskFrame(ws.NewFrame(op, true, body)))
	if err != nil {
		return err
	}
	_ = s.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, err = s.conn.Write(frame)
	return err
}

// hangUp says goodbye; the node's answer, or some time, ends the session.
func (s *session) hangUp() {
	_ = s.send(ws.OpClose, ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))
	_ = s.conn.SetReadDeadline(time.Now().Add(closeTimeout))
}

package experiment

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/gobwas/ws"
)

// keptDevice is one connection of a device that takes what was kept for it. One
// goroutine reads it.
type keptDevice struct {
	conn net.Conn
	in   io.Reader
}

// Limits of such a connection.
const (
	keptDialWait  = 5 * time.Second
	keptWriteWait = 5 * time.Second
	keptFrameMax  = 1 << 20
)

// keptFrame is what is read of a frame of the node.
type keptFrame struct {
	Type    string          `json:"type"`
	ID      string          `json:"id"`
	Ack     bool            `json:"ack"`
	Missed  int             `json:"missed"`
	Payload json.RawMessage `json:"payload"`
	Code    string          `json:"code"`
	Detail  string          `json:"detail"`
}

func dialKept(ctx context.Context, public, account, device string) (*keptDevice, error) {
	ctx, cancel := context.WithTimeout(ctx, keptDialWait)
	defer cancel()
	conn, early, _, err := ws.Dialer{ReadBufferSize: 4 << 10}.Dial(ctx, fmt.Sprintf("ws://%s/ws?account=%s&device=%s", public, account, device))
	if err != nil {
		return nil, err
	}
	d := &keptDevice{conn: conn, in: bufio.NewReader(conn)}
	if early != nil {
		rest := make([]byte, early.Buffered())
		_, _ = io.ReadFull(early, rest)
		ws.PutReader(early)
		d.in = io.MultiReader(bytes.NewReader(rest), d.in)
	}
	return d, nil
}

// next returns the next frame; pings are answered. An error is the end.
func (d *keptDevice) next() (f keptFrame, err error) {
	for {
		h, err := ws.ReadHeader(d.in)
		if err != nil {
			return f, err
		}
		if h.Length > keptFrameMax || !h.Fin || h.Masked {
			return f, fmt.Errorf("a frame that no node sends: %+v", h)
		}
		body := make([]byte, h.Length)
		if _, err := io.ReadFull(d.in, body); err != nil {
			return f, err
		}
		switch h.OpCode {
		case ws.OpText:
			return f, json.Unmarshal(body, &f)
		case ws.OpPing:
			if err := d.send(ws.OpPong, body); err != nil {
				return f, err
			}
		case ws.OpClose:
			return f, io.EOF
		}
	}
}

// ack says that the device has a message.
func (d *keptDevice) ack(id string) error {
	return d.send(ws.OpText, fmt.Appendf(nil, `{"type":"ack","ids":[%q]}`, id))
}

func (d *keptDevice) send(op ws.OpCode, body []byte) error {
	frame, err := ws.CompileFrame(ws.MaskFrame(ws.NewFrame(op, true, body)))
	if err != nil {
		return err
	}
	_ = d.conn.SetWriteDeadline(time.Now().Add(keptWriteWait))
	_, err = d.conn.Write(frame)
	return err
}

package netpolltest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// model is an echo server that is obviously right and slow: it is given all
// bytes at once and answers with all replies at once. gobwas/ws reads and
// checks headers; it does not know the minimal length, a limit, the codes
// registered after the RFC and UTF-8, which stand here.
type model struct {
	limitBytes int
	replies    []Reply
	ended      bool     // with a close frame
	codes      []uint16 // that the close frame may carry
	// undecided: the input ends inside a header that may already be wrong, so a
	// server may have failed or may wait for the rest.
	undecided bool
}

// run consumes the client's bytes.
func (m *model) run(in []byte) {
	var op ws.OpCode // of the message under way, 0: none
	var message []byte
	for len(in) > 0 && !m.ended {
		r := bytes.NewReader(in)
		h, err := ws.ReadHeader(r)
		size := len(in) - r.Len()
		switch {
		case errors.Is(err, ws.ErrHeaderLengthMSB):
			m.fail(1002)
			return
		case err != nil: // the header is not whole
			m.undecided = true
			return
		}
		state := ws.StateServerSide
		if op != 0 {
			state = state.Set(ws.StateFragmented)
		}
		tooBig := !h.OpCode.IsControl() && uint64(h.Length)+uint64(len(message)) > uint64(m.limitBytes)
		switch wrong := ws.CheckHeader(h, state) != nil || !shortest(h, size); {
		case wrong && tooBig:
			m.fail(1002, 1009)
			return
		case wrong:
			m.fail(1002)
			return
		case tooBig:
			m.fail(1009)
			return
		}
		in = in[size:]
		n := min(int64(len(in)), h.Length)
		payload := bytes.Clone(in[:n])
		in = in[n:]
		for i := range payload {
			payload[i] ^= h.Mask[i%4]
		}
		cut := n < h.Length
		if h.OpCode.IsControl() {
			if !cut {
				m.control(h.OpCode, payload)
			}
			continue
		}
		if h.OpCode != ws.OpContinuation {
			op, message = h.OpCode, nil
		}
		message = append(message, payload...)
		last := h.Fin && !cut
		if op == ws.OpText {
			if _, wrong := firstWrong(string(message)); wrong || last && !utf8.Valid(message) {
				m.fail(1007)
				return
			}
		}
		if last {
			m.replies = append(m.replies, Reply{byte(op), message})
			op, message = 0, nil
		}
	}
}

func (m *model) control(op ws.OpCode, payload []byte) {
	switch {
	case op == ws.OpPing:
		m.replies = append(m.replies, Reply{OpPong, payload})
	case op == ws.OpPong:
	case len(payload) == 0:
		m.fail(0)
	case len(payload) == 1 || !ValidCloseCode(binary.BigEndian.Uint16(payload)):
		m.fail(1002)
	case !utf8.Valid(payload[2:]):
		m.fail(1007)
	default:
		m.fail(binary.BigEndian.Uint16(payload))
	}
}

func (m *model) fail(codes ...uint16) { m.ended, m.codes = true, codes }

// shortest says whether a header of size bytes spells its length in the
// shortest form.
func shortest(h ws.Header, size int) bool {
	if h.Masked {
		size -= 4
	}
	switch {
	case h.Length <= 125:
		return size == 2
	case h.Length <= 65535:
		return size == 4
	default:
		return size == 10
	}
}

// modelStream is the model as a Stream, so that the tables can be judged by
// it: a table and the model that disagree are a mistake in one of them.
type modelStream struct {
	in  []byte
	eof bool
	// limitBytes is the model's.
	limitBytes int
}

func (s *modelStream) Feed(p []byte) { s.in = append(s.in, p...) }
func (s *modelStream) EOF()          { s.eof = true }
func (s *modelStream) Close()        {}

func (s *modelStream) Await(int) ([]byte, bool) {
	rest, ok := bytes.CutPrefix(s.in, []byte(Upgrade))
	if !ok {
		return nil, s.eof
	}
	out := []byte("HTTP/1.1 101 Switching Protocols\r\n" + accepted + "\r\n\r\n")
	m := model{limitBytes: s.limitBytes}
	m.run(rest)
	for _, r := range m.replies {
		out = NewFrame(r.Op, r.Payload).NoMask().AppendTo(out)
	}
	if m.ended && m.codes[0] == 0 {
		out = CloseEmpty().NoMask().AppendTo(out)
	} else if m.ended {
		out = Close(m.codes[0], "").NoMask().AppendTo(out)
	}
	return out, m.ended || s.eof
}

package api

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
)

// bodyChunkBytes is the first piece of memory for a body. A body's memory grows with
// what has arrived, never with what its header claims.
const bodyChunkBytes = 16 << 10

// body is a request's whole body and its share of http.bodies_bytes_max.
type body struct {
	bytes []byte
	held  int64
	s     *Server
}

// readBody reads the whole body, at most limit bytes of it; what names it in the
// answer when it is larger. The caller must release it.
func (s *Server) readBody(r *http.Request, limit int, code, what string) (*body, *Problem) {
	tooLarge := func(n string) *Problem {
		return problem(http.StatusRequestEntityTooLarge, code, fmt.Sprintf("the %s is %s bytes long, at most %d are allowed", what, n, limit))
	}
	if r.ContentLength > int64(limit) {
		return nil, tooLarge(fmt.Sprint(r.ContentLength))
	}
	b := &body{s: s}
	for {
		if len(b.bytes) == cap(b.bytes) {
			if p := b.grow(limit + 1); p != nil {
				b.release()
				return nil, p
			}
		}
		n, err := r.Body.Read(b.bytes[len(b.bytes):cap(b.bytes)])
		b.bytes = b.bytes[:len(b.bytes)+n]
		switch {
		case len(b.bytes) > limit:
			b.release()
			return nil, tooLarge(fmt.Sprintf("more than %d", limit))
		case err == io.EOF:
			return b, nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			b.release()
			return nil, problem(http.StatusRequestTimeout, codeBodyTimeout, fmt.Sprintf("the body did not arrive within %v, %d bytes did", s.cfg.HTTP.ReadTimeout, len(b.bytes)))
		case err != nil:
			b.release()
			return nil, badRequest(codeBodyUnreadable, fmt.Sprintf("the body ended after %d bytes: %v", len(b.bytes), err))
		}
	}
}

// grow doubles the body's memory, up to limit, if the node's budget has room.
func (b *body) grow(limit int) *Problem {
	size := min(max(2*cap(b.bytes), bodyChunkBytes), limit)
	more := int64(size - cap(b.bytes))
	if b.s.bodies.Add(more) > int64(b.s.cfg.HTTP.BodiesBytesMax) {
		b.s.bodies.Add(-more)
		return busy(codeBusy, fmt.Sprintf("the bodies of all requests together reached %d bytes (http.bodies_bytes_max)", b.s.cfg.HTTP.BodiesBytesMax))
	}
	b.held += more
	grown := make([]byte, len(b.bytes), size)
	copy(grown, b.bytes)
	b.bytes = grown
	return nil
}

// release gives the body's share back. Its bytes may not be used any more.
func (b *body) release() {
	b.s.bodies.Add(-b.held)
	b.held, b.bytes = 0, nil
}

// mediaType returns the media type of a request's body in lower case, without its
// parameters; empty when the header is missing.
func mediaType(r *http.Request) (string, *Problem) {
	h := r.Header.Get("Content-Type")
	if h == "" {
		return "", nil
	}
	t, _, err := mime.ParseMediaType(h)
	if err != nil {
		return "", problem(http.StatusUnsupportedMediaType, codeContentType, fmt.Sprintf("Content-Type %.100q cannot be read: %v", h, err))
	}
	return t, nil
}

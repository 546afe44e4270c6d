package target

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// Key is the Sec-WebSocket-Key of every handshake and Accept the answer that
// RFC 6455 section 4.2.2 demands for it (they are the RFC's own example). One key
// for all lets the handshake be formatted once; it is no secret, it only shows
// that the answer comes from a WebSocket server.
const (
	Key    = "dGhlIHNhbXBsZSBub25jZQ=="
	Accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

// AnswerBytesMax bounds the head of the server's answer.
const AnswerBytesMax = 8 << 10

// The classes of a handshake that failed. A refusal by status is a StatusError.
var (
	ErrNotHTTP  = errors.New("answer is not HTTP")
	ErrNoAccept = errors.New("101 without a right Sec-WebSocket-Accept")
	ErrTooLong  = errors.New("answer's head is too long")
)

// StatusError is an HTTP answer other than 101.
type StatusError int

func (e StatusError) Error() string { return "http " + strconv.Itoa(int(e)) }

// ReadAnswer reads the head of the server's answer to the handshake. It returns
// the length of the head, or 0 while it is not complete. head is borrowed.
func ReadAnswer(head []byte) (n int, err error) {
	const version = "HTTP/1."
	if k := min(len(head), len(version)); string(head[:k]) != version[:k] {
		return 0, ErrNotHTTP
	}
	end := bytes.Index(head, []byte("\r\n\r\n"))
	if end < 0 {
		if len(head) > AnswerBytesMax {
			return 0, ErrTooLong
		}
		return 0, nil
	}
	if end < len("HTTP/1.1 101") {
		return 0, ErrNotHTTP
	}
	status, err := strconv.Atoi(string(head[9:12]))
	if err != nil {
		return 0, ErrNotHTTP
	}
	if status != 101 {
		return 0, StatusError(status)
	}
	if !hasAccept(head[:end+2]) {
		return 0, ErrNoAccept
	}
	return end + 4, nil
}

// hasAccept looks for the header line by line; names are case-insensitive
// (RFC 9110 section 5.1).
func hasAccept(head []byte) bool {
	const name = "sec-websocket-accept"
	for line := range bytes.SplitSeq(head, []byte("\r\n")) {
		key, value, ok := bytes.Cut(line, []byte(":"))
		if ok && len(key) == len(name) && bytes.EqualFold(key, []byte(name)) {
			return string(bytes.TrimSpace(value)) == Accept
		}
	}
	return false
}

// Explain says in a sentence what a handshake error means for the user.
func Explain(err error) string {
	var status StatusError
	switch {
	case errors.As(err, &status) && status == 401 || status == 403:
		return fmt.Sprintf("the server refuses the upgrade with HTTP %d: it wants a token; pass --token-secret or --header 'Authorization: Bearer ...'", int(status))
	case errors.As(err, &status) && status == 404:
		return "the server has nothing at this path (HTTP 404): check the URL's path"
	case errors.As(err, &status):
		return fmt.Sprintf("the server answers the upgrade with HTTP %d instead of 101: there is no WebSocket at this URL", int(status))
	case errors.Is(err, ErrNotHTTP):
		return "what listens there does not speak HTTP"
	case errors.Is(err, ErrNoAccept):
		return "the server says 101 but without the Sec-WebSocket-Accept that RFC 6455 demands: it is not a WebSocket server"
	}
	return err.Error()
}

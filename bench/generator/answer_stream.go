package generator

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// The limits of what is taken from an API. What is too long is refused in whatever
// pieces it comes: a line that is whole in one read as much as one that is held.
const (
	answerHeadBytesMax = 16 << 10
	answerSizeBytesMax = 256     // a chunk's size and its extensions
	answerLineBytesMax = 1 << 20 // a push to an account lists a thousand devices
	answerBodyShown    = 300     // bytes of a refusal that an error quotes
)

// answerStream reads the answer to a push stream piece by piece: the head, then
// chunks (RFC 9112 section 7.1), whose data is lines. It knows no socket.
type answerStream struct {
	state  answerState
	status int
	remain int64  // bytes of this chunk still to come
	held   []byte // the first part of the head, of a chunk's size or of a refusal
	line   []byte // the first part of a line
}

type answerState uint8

const (
	answerHead answerState = iota
	answerRefused
	answerSize
	answerData
	answerDataEnd
	answerDone
)

// errAnswerEnd says that the server ended the answer properly.
var errAnswerEnd = errors.New("the server ended the stream")

// feed takes the next bytes and calls each for every whole line; the line is borrowed.
func (a *answerStream) feed(data []byte, each func(line []byte)) error {
	for len(data) > 0 {
		var err error
		switch a.state {
		case answerHead:
			data, err = a.head(data)
		case answerRefused:
			a.held = append(a.held, data[:min(len(data), answerBodyShown)]...)
			return a.refusal()
		case answerSize:
			data, err = a.size(data)
		case answerData:
			n := min(int64(len(data)), a.remain)
			if err = a.lines(data[:n], each); err != nil {
				return err
			}
			if data, a.remain = data[n:], a.remain-n; a.remain == 0 {
				a.state, a.remain = answerDataEnd, 2
			}
		case answerDataEnd:
			n := min(int64(len(data)), a.remain)
			if data, a.remain = data[n:], a.remain-n; a.remain == 0 {
				a.state = answerSize
			}
		case answerDone:
			return errAnswerEnd
		}
		if err != nil {
			return err
		}
	}
	if a.state == answerDone {
		return errAnswerEnd
	}
	return nil
}

// head reads up to the empty line.
func (a *answerStream) head(data []byte) (rest []byte, err error) {
	before := len(a.held)
	a.held = append(a.held, data...)
	end := bytes.Index(a.held, []byte("\r\n\r\n"))
	switch {
	case end > answerHeadBytesMax-4, end < 0 && len(a.held) > answerHeadBytesMax:
		return nil, fmt.Errorf("the API's answer has no end of its head within %d bytes", answerHeadBytesMax)
	case end < 0:
		return nil, nil
	}
	head := a.held[:end]
	if len(head) < len("HTTP/1.1 200") || !bytes.HasPrefix(head, []byte("HTTP/1.")) {
		return nil, fmt.Errorf("the API's answer is not HTTP: %q", head[:min(len(head), 40)])
	}
	if a.status, err = strconv.Atoi(string(head[9:12])); err != nil {
		return nil, fmt.Errorf("the API's answer is not HTTP: %q", head[:min(len(head), 40)])
	}
	rest = data[end+4-before:]
	chunked := bytes.Contains(bytes.ToLower(head), []byte("transfer-encoding: chunked"))
	switch {
	case a.status == 100:
		a.held = a.held[:0]
		return rest, nil
	case a.status != 200:
		a.state, a.held = answerRefused, append([]byte(nil), rest[:min(len(rest), answerBodyShown)]...)
		return nil, a.refusal()
	case !chunked:
		return nil, errors.New("the API answers without chunks: it cannot stream results")
	}
	a.state, a.held = answerSize, a.held[:0]
	return rest, nil
}

func (a *answerStream) refusal() error {
	return fmt.Errorf("the API answered HTTP %d: %s", a.status, bytes.TrimSpace(a.held))
}

// size reads one line with a chunk's size; extensions are ignored.
func (a *answerStream) size(data []byte) (rest []byte, err error) {
	end := bytes.IndexByte(data, '\n')
	length := end
	if end < 0 {
		length = len(data)
	}
	if len(a.held)+length > answerSizeBytesMax {
		return nil, fmt.Errorf("the API's answer has a chunk whose size takes more than %d bytes", answerSizeBytesMax)
	}
	if end < 0 {
		a.held = append(a.held, data...)
		return nil, nil
	}
	text := data[:end]
	if len(a.held) > 0 {
		a.held = append(a.held, text...)
		text = a.held
	}
	text, _, _ = bytes.Cut(bytes.TrimSuffix(text, []byte("\r")), []byte(";"))
	if a.remain, err = parseHex(text); err != nil {
		return nil, err
	}
	a.held = a.held[:0]
	if a.state = answerData; a.remain == 0 {
		a.state = answerDone
	}
	return data[end+1:], nil
}

func parseHex(text []byte) (int64, error) {
	var n int64
	for _, d := range text {
		v := hexValues[d|0x20] // the case of letters does not matter
		if d < '0' || v > 15 || n >= 1<<40 {
			return 0, fmt.Errorf("the API's answer has a chunk of size %q", text)
		}
		n = n<<4 | int64(v)
	}
	if len(text) == 0 {
		return 0, errors.New("the API's answer has a chunk without a size")
	}
	return n, nil
}

// lines cuts a chunk's data.
func (a *answerStream) lines(data []byte, each func(line []byte)) error {
	for len(data) > 0 {
		end := bytes.IndexByte(data, '\n')
		length := end
		if end < 0 {
			length = len(data)
		}
		if len(a.line)+length > answerLineBytesMax {
			return fmt.Errorf("the API's answer has a line that is too long: more than %d bytes", answerLineBytesMax)
		}
		if end < 0 {
			a.line = append(a.line, data...)
			return nil
		}
		if len(a.line) > 0 {
			a.line = append(a.line, data[:end]...)
			each(a.line)
			a.line = a.line[:0]
		} else {
			each(data[:end])
		}
		data = data[end+1:]
	}
	return nil
}

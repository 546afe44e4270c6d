package experiment

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// keptStream is one POST of NDJSON whose pushes are kept by the node: wait none, with a
// time to live. One goroutine writes, another hears of the answers.
type keptStream struct {
	body *io.PipeWriter
	out  *bufio.Writer
	done chan error
}

// keptBufferBytes is how much a device that takes what was kept for it reads at once.
const keptBufferBytes = 4 << 10

// keptLine is one push of such a stream.
type keptLine struct {
	To       keptTo          `json:"to"`
	Payload  json.RawMessage `json:"payload"`
	TTL      int64           `json:"ttl_ms"`
	Wait     string          `json:"wait"`
	Priority string          `json:"priority,omitempty"`
}

// keptTo is an address as the API writes it.
type keptTo struct {
	Account string `json:"account"`
	Device  string `json:"device"`
}

// keptAnswer is what the node says of one line.
type keptAnswer struct {
	Line   int64  `json:"line"`
	Status int    `json:"status"`
	ID     string `json:"id"`
	Error  *struct {
		Code   string `json:"code"`
		Detail string `json:"detail"`
	} `json:"error"`
}

// openKept begins a stream to the node's API; heard is called for each answer, in order,
// on a goroutine of the stream.
func (n *Node) openKept(ctx context.Context, heard func(keptAnswer)) (*keptStream, error) {
	reader, writer := io.Pipe()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+n.Internal+"/v1/messages", reader)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-ndjson")
	s := &keptStream{body: writer, out: bufio.NewWriterSize(writer, 64<<10), done: make(chan error, 1)}
	go func() {
		s.done <- readKept(&http.Client{Transport: &http.Transport{}}, request, heard)
		reader.CloseWithError(io.ErrClosedPipe) // whoever still writes hears of the end
	}()
	return s, nil
}

func readKept(client *http.Client, request *http.Request, heard func(keptAnswer)) error {
	defer client.CloseIdleConnections()
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 4<<10))
		return fmt.Errorf("HTTP %d: %s", answer.StatusCode, text)
	}
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(make([]byte, 64<<10), 1<<20)
	for lines.Scan() {
		var a keptAnswer
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			return fmt.Errorf("%.200q: %w", lines.Bytes(), err)
		}
		if a.Line == 0 {
			return fmt.Errorf("the stream was ended: %.300s", lines.Bytes())
		}
		heard(a)
	}
	return lines.Err()
}

// write puts one push on its way, at the latest with the next flush.
func (s *keptStream) write(l *keptLine) error {
	text, err := json.Marshal(l)
	if err != nil {
		panic(err) // it is made of names and numbers
	}
	_, err = s.out.Write(append(text, '\n'))
	return err
}

// flush sends what was written.
func (s *keptStream) flush() error { return s.out.Flush() }

// close ends the stream and waits for the last answer.
func (s *keptStream) close(within time.Duration) error {
	if err := s.flush(); err == nil {
		s.body.Close()
	}
	select {
	case err := <-s.done:
		return err
	case <-time.After(within):
		return fmt.Errorf("the last answers have not come within %s", within)
	}
}

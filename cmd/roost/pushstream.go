package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/roostpush/roost/cmd/roost/internal/client"
	"github.com/roostpush/roost/session"
)

// stream pushes standard input, a push a line, and prints the results as they
// come. A result counts as delivered by the level of --wait, so give the level
// that the lines ask for; one whose line asked for none counts once it is accepted.
func (c *pushCommand) stream(ctx context.Context, t terminal, api *client.Client, p client.Push) error {
	if c.Payload != "" && c.Payload != "-" {
		return usageError{fmt.Errorf("--ndjson reads standard input; found the payload %q", c.Payload)}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	lines := t.in
	if p.To != (client.To{}) {
		reader, writer := io.Pipe()
		defer reader.Close()
		go func() {
			err := c.wrap(t.in, writer, p)
			writer.CloseWithError(err)
			if err != nil {
				cancel(err)
			}
		}()
		lines = reader
	}
	tally := streamTally{push: c}
	out := bufio.NewWriter(t.out)
	err := api.Stream(ctx, lines, func(line []byte) error {
		tally.add(line)
		out.Write(line)
		out.WriteByte('\n')
		return out.Flush() // a reader of the other end of a pipe waits for this line
	})
	if cause := context.Cause(ctx); cause != nil && err != nil {
		return cause
	}
	if err != nil {
		return err
	}
	return tally.end(t)
}

// streamTally counts what became of the lines of a stream.
type streamTally struct {
	push   *pushCommand
	all    int
	missed int    // results that are errors, or below the level
	kept   int    // results with a device that is queued for
	cut    string // why the node ended the stream early; empty: it did not
}

// add counts one line of results, which is borrowed. The last one of a stream that the
// node ended early is about no line of its own.
func (s *streamTally) add(line []byte) {
	var result struct {
		client.Answer
		Line   int `json:"line"`
		Status int `json:"status"`
		Error  struct {
			Code   string `json:"code"`
			Detail string `json:"detail"`
			Line   int    `json:"line"`
		} `json:"error"`
	}
	err := json.Unmarshal(line, &result)
	if e := &result.Error; err == nil && e.Code != "" && result.Line == 0 {
		s.cut = fmt.Sprintf("the node ended the stream after line %d: %s (%s)", e.Line, e.Detail, e.Code)
		return
	}
	s.all++
	// 202 without outcomes: the line itself said wait none, and nothing of a ttl.
	accepted := result.Status == http.StatusAccepted && len(result.Outcomes)+len(result.Counts) == 0
	if err != nil || result.Error.Code != "" || !accepted && !s.push.reached(result.Answer) {
		s.missed++
	}
	if isKept(result.Answer) {
		s.kept++
	}
}

// isKept says that a device is away, or slow, and the message waits for it.
func isKept(a client.Answer) bool {
	queued := session.Queued.String()
	return a.Counts[queued] > 0 || slices.ContainsFunc(a.Outcomes, func(o client.Outcome) bool { return o.Outcome == queued })
}

// end says what did not go as it was asked for; its error is the exit code.
func (s *streamTally) end(t terminal) error {
	if s.kept > 0 {
		fmt.Fprintf(t.err, "roost: %d of %d results are queued: kept for devices that are away or have others to take first\n", s.kept, s.all)
	}
	if s.missed > 0 {
		fmt.Fprintf(t.err, "roost: %d of %d results did not reach the level %s\n", s.missed, s.all, s.push.Wait)
	}
	switch {
	case s.cut != "":
		return errors.New(s.cut)
	case s.missed > 0:
		return exitError(exitNotDelivered)
	}
	return nil
}

// wrap turns lines of payloads into lines of pushes.
func (c *pushCommand) wrap(in io.Reader, out io.Writer, p client.Push) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, 64<<10), client.LineBytesMax)
	encoder := json.NewEncoder(out)
	for n := 1; lines.Scan(); n++ {
		payload := lines.Bytes()
		if len(bytes.TrimSpace(payload)) == 0 {
			continue
		}
		if err := c.set(&p, payload); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if err := encoder.Encode(p); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read standard input: %w", err)
	}
	return nil
}

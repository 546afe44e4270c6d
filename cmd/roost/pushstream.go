package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/roostpush/roost/cmd/roost/internal/client"
)

// stream pushes standard input, a push a line, and prints the results as they
// come. A result counts as delivered by the level of --wait, so give the level
// that the lines ask for.
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
	all, missed := 0, 0
	out := bufio.NewWriter(t.out)
	err := api.Stream(ctx, lines, func(line []byte) error {
		all++
		var result struct {
			client.Answer
			Code string `json:"code"`
		}
		if err := json.Unmarshal(line, &result); err != nil || result.Code != "" || !c.reached(result.Answer) {
			missed++
		}
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
	if missed > 0 {
		fmt.Fprintf(t.err, "roost: %d of %d results did not reach the level %s\n", missed, all, c.Wait)
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

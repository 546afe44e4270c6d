package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// LineBytesMax bounds one line of a stream's results.
const LineBytesMax = AnswerBytesMax

// To says whom a push is for: account and device, account alone, or all.
type To struct {
	Account string `json:"account,omitempty"`
	Device  string `json:"device,omitempty"`
	All     bool   `json:"all,omitempty"`
}

// Push is one push as the API takes it. Exactly one of Payload, Text and Base64
// is set.
type Push struct {
	To        To              `json:"to"`
	Payload   json.RawMessage `json:"payload,omitempty"`
	Text      *string         `json:"text,omitempty"`
	Base64    []byte          `json:"base64,omitempty"`
	ID        string          `json:"id,omitempty"`
	TTLMS     int64           `json:"ttl_ms,omitempty"`
	Priority  string          `json:"priority,omitempty"`
	Collapse  string          `json:"collapse,omitempty"`
	Acks      string          `json:"acks,omitempty"`
	Wait      string          `json:"wait,omitempty"`
	TimeoutMS int64           `json:"timeout_ms,omitempty"`
}

// Answer is what became of a push: an outcome for each device, or counts by
// outcome where there are too many devices to name.
type Answer struct {
	ID       string         `json:"id"`
	Outcomes []Outcome      `json:"outcomes"`
	Counts   map[string]int `json:"counts"`
}

// Outcome is what became of a push for one device.
type Outcome struct {
	Device  string `json:"device"`
	Outcome string `json:"outcome"`
	Node    string `json:"node"`
	AtMS    int64  `json:"at_ms"` // since when, Unix milliseconds; of a message that was asked for
}

// Push sends one push and waits for its answer.
func (c *Client) Push(ctx context.Context, p Push) (Answer, error) {
	var a Answer
	err := c.call(ctx, "POST", "/v1/messages", p, &a)
	return a, err
}

// Stream sends lines, a push each, and calls each with every line of results
// as it comes, while lines are still being read. The line is borrowed.
func (c *Client) Stream(ctx context.Context, lines io.Reader, each func(line []byte) error) error {
	resp, err := c.do(ctx, "POST", "/v1/messages", "application/x-ndjson", lines)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	results := bufio.NewScanner(resp.Body)
	results.Buffer(make([]byte, 0, 64<<10), LineBytesMax)
	for results.Scan() {
		if line := bytes.TrimSpace(results.Bytes()); len(line) > 0 {
			if err := each(line); err != nil {
				return err
			}
		}
	}
	if err := results.Err(); errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the node ended the stream in the middle: results are missing")
	} else if err != nil {
		return fmt.Errorf("client: read results: %w", err)
	}
	return nil
}

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"github.com/gobwas/ws"
)

// listen is connect for a device that only receives: Server-Sent Events from /sse. It
// prints what each event says until the stream ends.
func (c connectCommand) listen(ctx context.Context, t terminal, target *url.URL) error {
	resp, err := c.subscribe(ctx, target)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	events := newEventReader(resp.Body)
	for messages := 0; c.Count == 0 || messages < c.Count; {
		e, err := events.next()
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("the connection broke: %w", err)
		case e.name == "close":
			var end struct {
				Code   ws.StatusCode `json:"code"`
				Reason string        `json:"reason"`
			}
			if err := json.Unmarshal([]byte(e.data), &end); err != nil {
				return fmt.Errorf("the node's last event %q cannot be read: %w", e.data, err)
			}
			return ended(t, &closedError{end.Code, end.Reason})
		}
		fmt.Fprintf(t.out, "%s\n", e.data)
		if e.name == "" {
			messages++
		}
	}
	return nil
}

// subscribe asks for the stream. A refusal is told with the reason in its body.
func (c connectCommand) subscribe(ctx context.Context, target *url.URL) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/event-stream")
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	if c.LastEventID != "" {
		req.Header.Set("Last-Event-ID", c.LastEventID)
	}
	dialer := net.Dialer{Timeout: connectTimeout}
	transport := &http.Transport{
		DialContext: dialer.DialContext, TLSHandshakeTimeout: connectTimeout, ResponseHeaderTimeout: connectTimeout,
		DisableKeepAlives: true, // the stream ends with its connection
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, nobodyListens(target)
	case err != nil:
		return nil, fmt.Errorf("cannot connect to %s://%s: %w", target.Scheme, target.Host, err)
	case resp.StatusCode != http.StatusOK:
		defer resp.Body.Close()
		return nil, refusal(resp)
	}
	return resp, nil
}

// eventStream returns where a node has events whose WebSockets are at the given URL.
func eventStream(socket *url.URL, topics []string) *url.URL {
	u := *socket
	u.Scheme = strings.Replace(u.Scheme, "ws", "http", 1)
	if path, ok := strings.CutSuffix(u.Path, "/ws"); ok {
		u.Path = path + "/sse"
	}
	if len(topics) > 0 {
		query := u.Query()
		query.Set("topics", strings.Join(topics, ","))
		u.RawQuery = query.Encode()
	}
	return &u
}

// event is one Server-Sent Event as far as connect cares.
type event struct {
	name string // empty: message
	data string
}

// eventReader reads a node's events: lines that end with a line feed, or as a proxy may
// have it CR LF. One goroutine uses it.
type eventReader struct{ lines *bufio.Scanner }

func newEventReader(body io.Reader) *eventReader {
	r := &eventReader{bufio.NewScanner(body)}
	r.lines.Buffer(make([]byte, 0, 4<<10), deviceFrameBytesMax)
	return r
}

// next returns the next event that has data. A stream that ends has none more, whole or
// not, and an error.
func (r *eventReader) next() (e event, err error) {
	var data []string
	size := 0
	for r.lines.Scan() {
		field, value, _ := strings.Cut(r.lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "":
			if r.lines.Text() != "" {
				continue // a comment
			}
			if data != nil {
				e.data = strings.Join(data, "\n")
				return e, nil
			}
			e.name = ""
		case "event":
			e.name = value
		case "data":
			if size += len(value) + 1; size > deviceFrameBytesMax {
				return e, fmt.Errorf("an event is above %d bytes", deviceFrameBytesMax)
			}
			data = append(data, value)
		}
	}
	if err = r.lines.Err(); err == nil {
		err = io.ErrUnexpectedEOF
	}
	return e, err
}

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
	"net/url"
	"os/signal"
	"syscall"
	"time"

	"github.com/gobwas/ws"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// connectTimeout is how long connecting and the upgrade may take.
const connectTimeout = 10 * time.Second

// connectCommand is a device for people.
type connectCommand struct {
	Address string `arg:"" optional:"" help:"ACCOUNT/DEVICE. Left out, the token names both."`

	URL      string   `name:"url" default:"ws://127.0.0.1:8080/ws" placeholder:"URL" help:"The node's public listener (${default})."`
	Token    string   `env:"ROOST_TOKEN" placeholder:"TOKEN" help:"The device's token, as \"roost token\" mints them; not wanted with --auth none."`
	Raw      bool     `help:"Speak roost.raw: payloads are frames, bare."`
	SSE      bool     `name:"sse" help:"Receive only: Server-Sent Events from /sse, where the URL says /ws."`
	Frames   bool     `help:"Lines from standard input are whole frames, not payloads of sends."`
	NoAck    bool     `help:"Do not acknowledge messages that ask for it."`
	Topics   []string `name:"subscribe" placeholder:"TOPIC" help:"Subscribe to a topic, or with news.* to all topics below news; several are separated by commas."`
	Presence bool     `help:"Be told which of the account's other devices come and go."`
	Since    string   `placeholder:"ID" help:"With --subscribe: be sent first what came after the message of that id."`
	Count    int      `placeholder:"N" help:"Leave after N messages; 0: stay."`

	LastEventID string `name:"last-event-id" placeholder:"ID" help:"With --sse, the message received last, which acknowledges it and what came before."`
}

// Help is shown below the flags.
func (connectCommand) Help() string {
	return `Prints each frame on a line and acknowledges messages that ask for it. Each line of standard input
is sent to the account's other devices: as it is when it is JSON, as a JSON string when not.
How the connection ended is said on standard error; exits with 0 when it was closed normally.

Examples:
  roost connect alice/phone
  roost connect alice/phone --subscribe news.*,weather.eu
  roost connect alice/phone --presence
  roost connect alice/tv --sse --subscribe news.*
  roost connect --token "$(roost token --keys keys.json --account alice --device phone)"`
}

// Run connects, and prints until the connection ends.
func (c connectCommand) Run(t terminal) error {
	target, err := c.target()
	if err != nil {
		return usageError{err}
	}
	ctx, stop := interruptible(t.ctx)
	defer stop()
	if c.SSE {
		return c.listen(ctx, t, eventStream(target, c.Topics))
	}
	d, err := c.dial(ctx, target)
	if err != nil {
		return err
	}
	defer d.conn.Close()
	// A shell stops a background job that reads the terminal; with this the read
	// fails instead, and a device in the background just has no input.
	signal.Ignore(syscall.SIGTTIN)
	// An interrupt says goodbye; the node's answer ends the reading below.
	unhook := context.AfterFunc(ctx, func() { d.leave(ws.StatusNormalClosure) })
	defer unhook()
	if len(c.Topics) > 0 || c.Presence {
		if err := d.send(ws.OpText, c.subscription()); err != nil {
			return fmt.Errorf("subscribe: %w", err)
		}
	}
	go c.sendLines(t, d)
	err = c.receive(t, d)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// target returns the URL to dial, with the address in its query.
func (c connectCommand) target() (*url.URL, error) {
	u, err := url.Parse(c.URL)
	if err != nil || (u.Scheme != "ws" && u.Scheme != "wss") || u.Host == "" {
		return nil, fmt.Errorf("--url %q is not a URL such as ws://127.0.0.1:8080/ws", c.URL)
	}
	if c.Count < 0 {
		return nil, fmt.Errorf("--count %d is negative", c.Count)
	}
	if c.Raw && (len(c.Topics) > 0 || c.Presence) {
		return nil, errors.New("--raw with --subscribe or --presence: roost.raw has no frame to subscribe with")
	}
	if c.Since != "" && len(c.Topics) == 0 {
		return nil, errors.New("--since without --subscribe: since is of the topics subscribed to")
	}
	if c.SSE && (c.Presence || c.Since != "" || c.Raw || c.Frames || c.NoAck) {
		return nil, errors.New("--sse only receives, frames of roost.v1: leave --raw, --presence, --since, --frames and --no-ack out (--last-event-id is its --since)")
	}
	if c.LastEventID != "" && !c.SSE {
		return nil, errors.New("--last-event-id is for --sse: a WebSocket acknowledges each message by itself")
	}
	if c.Address == "" && c.Token == "" {
		return nil, errors.New("who are you? give ACCOUNT/DEVICE, or --token")
	}
	if c.Address != "" {
		address, err := session.ParseAddress(c.Address)
		if err != nil {
			return nil, err
		}
		query := u.Query()
		query.Set("account", address.Account)
		query.Set("device", address.Device)
		u.RawQuery = query.Encode()
	}
	return u, nil
}

// dial connects and upgrades. A refusal is told with the reason in its body.
func (c connectCommand) dial(ctx context.Context, target *url.URL) (*device, error) {
	protocol := "roost.v1"
	if c.Raw {
		protocol = "roost.raw"
	}
	var refusal error
	dialer := ws.Dialer{
		Timeout:   connectTimeout,
		Protocols: []string{protocol},
		OnStatusError: func(status int, reason []byte, answer io.Reader) {
			refusal = refused(status, answer)
		},
	}
	if c.Token != "" {
		dialer.Header = ws.HandshakeHeaderHTTP(http.Header{"Authorization": {"Bearer " + c.Token}})
	}
	conn, buffered, _, err := dialer.Dial(ctx, target.String())
	switch {
	case refusal != nil:
		return nil, refusal
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, nobodyListens(target)
	case err != nil:
		return nil, fmt.Errorf("cannot connect to %s://%s: %w", target.Scheme, target.Host, err)
	}
	return newDevice(conn, buffered), nil
}

func nobodyListens(target *url.URL) error {
	return fmt.Errorf("nothing listens at %s://%s: is the node running (roost serve)? another one is given with --url", target.Scheme, target.Host)
}

// refused reads the answer to an upgrade that was refused.
func refused(status int, answer io.Reader) error {
	resp, err := http.ReadResponse(bufio.NewReader(answer), nil)
	if err != nil {
		resp = &http.Response{StatusCode: status, Body: http.NoBody}
	}
	defer resp.Body.Close()
	return refusal(resp)
}

// refusal says why a node did not let a device in.
func refusal(resp *http.Response) error {
	text := fmt.Sprintf("the node refused: %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	// The node's answer may be cut by its close; what there is of it is shown.
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	var problem struct{ Detail string }
	if json.Unmarshal(body, &problem) == nil && problem.Detail != "" {
		body = []byte(problem.Detail)
	}
	if body = bytes.TrimSpace(body); len(body) > 0 {
		text += ": " + string(body)
	}
	if wait := resp.Header.Get("Retry-After"); wait != "" {
		text += "; try again after " + wait + " s"
	}
	if resp.StatusCode == http.StatusUnauthorized {
		text += " (a device's token is given with --token or ROOST_TOKEN; \"roost token\" mints one)"
	}
	return errors.New(text)
}

// receive prints frames until the connection ends, and says how it did.
func (c connectCommand) receive(t terminal, d *device) error {
	messages := 0
	for {
		opcode, payload, err := d.next()
		var closed *closedError
		if errors.As(err, &closed) {
			return ended(t, closed)
		}
		if err != nil {
			return fmt.Errorf("the connection broke: %w", err)
		}
		if opcode == ws.OpBinary {
			fmt.Fprintf(t.out, "%x\n", payload)
		} else {
			fmt.Fprintf(t.out, "%s\n", payload)
		}
		var frame struct {
			Type string `json:"type"`
			ID   string `json:"id"`
			Ack  bool   `json:"ack"`
		}
		isMessage := c.Raw || json.Unmarshal(payload, &frame) == nil && frame.Type == "message"
		if frame.Ack && isMessage && !c.NoAck {
			ack, err := json.Marshal(map[string]any{"type": "ack", "ids": []string{frame.ID}})
			if err != nil {
				panic(err) // a string always encodes
			}
			if err := d.send(ws.OpText, ack); err != nil {
				return fmt.Errorf("acknowledge: %w", err)
			}
		}
		if isMessage {
			messages++
		}
		if c.Count > 0 && messages == c.Count {
			return d.goodbye()
		}
	}
}

// ended says how the node closed the connection.
func ended(t terminal, closed *closedError) error {
	fmt.Fprintf(t.err, "roost: closed by the node: %s\n", closed)
	if closed.code == ws.StatusNormalClosure || closed.code == ws.StatusGoingAway {
		return nil
	}
	return exitError(exitFailed)
}

// sendLines sends each line of standard input. At its end the device stays: a
// device started in the background has no input at all.
func (c connectCommand) sendLines(t terminal, d *device) {
	lines := bufio.NewScanner(t.in)
	lines.Buffer(make([]byte, 0, 4<<10), deviceFrameBytesMax)
	sent := 0
	for lines.Scan() {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		sent++
		if err := d.send(ws.OpText, c.frame(sent, line)); err != nil {
			return // receive says why
		}
	}
	if err := lines.Err(); err != nil && !errors.Is(err, syscall.EIO) {
		fmt.Fprintf(t.err, "roost: read standard input: %s\n", err)
	}
}

// subscription is the subscribe frame that the flags ask for.
func (c connectCommand) subscription() []byte {
	f := wire.DeviceFrame{Type: wire.FrameSubscribe, Ref: []byte(`"subscribe"`), Presence: c.Presence}
	for _, topic := range c.Topics {
		f.Topics = append(f.Topics, []byte(topic))
	}
	if c.Since != "" {
		f.Since = []byte(c.Since)
	}
	return wire.AppendDevice(nil, &f)
}

// frame makes a line into what is sent.
func (c connectCommand) frame(n int, line []byte) []byte {
	if c.Raw || c.Frames {
		return line
	}
	if !json.Valid(line) {
		quoted, err := json.Marshal(string(line))
		if err != nil {
			panic(err) // a string always encodes
		}
		line = quoted
	}
	return fmt.Appendf(nil, `{"type":"send","id":"%d","to":{"devices":"others"},"payload":%s}`, n, line)
}

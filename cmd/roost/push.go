package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/roostpush/roost/cmd/roost/internal/client"
	"github.com/roostpush/roost/session"
)

// payloadBytesMax bounds a payload read from a file or from standard input; the
// node's own limit (api.push.payload_bytes_max) is lower and has the last word.
const payloadBytesMax = 64 << 20

// pushCommand pushes a message.
type pushCommand struct {
	Target  string `arg:"" optional:"" help:"ACCOUNT/DEVICE, or ACCOUNT for all its devices. Left out with --all and --topic."`
	Payload string `arg:"" optional:"" help:"The payload, JSON unless --text or --binary; - reads standard input, @FILE a file."`

	All      bool          `help:"Push to everybody connected."`
	Topic    string        `placeholder:"TOPIC" help:"Push to everybody who has subscribed to that topic, such as news.eu."`
	Wait     string        `enum:"written,acked,none" default:"written" help:"Level to wait for: written (the kernel took it), acked (the device said so), none (${default})."`
	Timeout  time.Duration `placeholder:"DURATION" help:"How long to wait for that level (the node's default: 5s)."`
	TTL      time.Duration `name:"ttl" placeholder:"DURATION" help:"How long the message is kept until the device has acknowledged it (0: not at all)."`
	Collapse string        `placeholder:"KEY" help:"Of two kept messages for a device with one key only the newer stays."`
	Acks     string        `enum:"first,all" default:"all" help:"first: the first of an account's devices that acks takes the message from the others (${default})."`
	Priority string        `enum:"high,normal,low" default:"normal" help:"high, normal or low (${default})."`
	ID       string        `placeholder:"KEY" help:"Idempotency key: a push repeated with it happens once."`
	Text     bool          `xor:"kind" help:"The payload is text, not JSON."`
	Binary   bool          `xor:"kind" help:"The payload is bytes."`
	NDJSON   bool          `name:"ndjson" help:"Stream standard input, a push a line, and print a result a line."`
	apiFlags
}

// Help is shown below the flags.
func (pushCommand) Help() string {
	return `Prints one line for each device: address, outcome, node. With --ndjson each line of standard
input is a whole push as POST /v1/messages takes it, or, with a target, just the payload.
With --ttl the message is kept on disk before anything else; its id is printed last, for
"roost message ID".

Exits with 0 when every outcome reached the level asked for, 3 when one did not, 1 when the push
could not be made, 2 when the command line is wrong. With a ttl, queued is enough, unless the
level is acked; --ndjson says how many results are queued.

Examples:
  roost push alice/phone '{"hello":"world"}'
  roost push alice --text 'dinner is ready' --wait acked
  roost push alice/phone @photo.jpg --binary
  roost push alice/phone '{"for":"later"}' --ttl 24h --wait none
  roost push --all '{"news":1}'
  roost push --topic news.eu '{"headline":"..."}'
  roost push --ndjson - < pushes.ndjson`
}

// Run pushes.
func (c pushCommand) Run(t terminal) error {
	push, err := c.push()
	if err != nil {
		return usageError{err}
	}
	if !c.NDJSON {
		if err := c.fill(t, &push); err != nil {
			return err
		}
	}
	api, ctx, done, err := c.client(t)
	if err != nil {
		return err
	}
	defer done()
	if c.NDJSON {
		return c.stream(ctx, t, api, push)
	}
	answer, err := api.Push(ctx, push)
	var problem *client.Error
	switch {
	case errors.As(err, &problem) && (problem.Code == "device_unknown" || problem.Code == "device_offline" || len(problem.Answer.Outcomes) > 0):
		// Not a failure to push: this is what became of the message.
		c.print(t, push.To, problem.Answer)
		fmt.Fprintf(t.err, "roost: %s\n", problem)
		return exitError(exitNotDelivered)
	case err != nil:
		return err
	}
	c.print(t, push.To, answer)
	if !c.reached(answer) {
		return exitError(exitNotDelivered)
	}
	return nil
}

// push returns the push that the flags describe, without its payload.
func (c *pushCommand) push() (client.Push, error) {
	p := client.Push{ID: c.ID, Wait: c.Wait, TTLMS: c.TTL.Milliseconds(), TimeoutMS: c.Timeout.Milliseconds()}
	if c.Priority != "normal" {
		p.Priority = c.Priority
	}
	if p.Collapse = c.Collapse; c.Acks != "all" {
		p.Acks = c.Acks
	}
	switch {
	case c.Timeout < 0 || c.TTL < 0 || c.Timeout > 0 && p.TimeoutMS == 0 || c.TTL > 0 && p.TTLMS == 0:
		return p, errors.New("--timeout and --ttl are 1ms or longer")
	case c.All && c.Topic != "":
		return p, errors.New("--all and --topic are two targets: give one of them")
	case c.Topic != "" && c.Payload != "":
		return p, fmt.Errorf("--topic takes no target, found %q", c.Target)
	case c.Topic != "":
		c.Payload, p.To.Topic = c.Target, c.Topic
		return p, session.CheckTopic(c.Topic)
	case c.All && c.Payload != "":
		return p, fmt.Errorf("--all takes no target, found %q", c.Target)
	case c.All:
		c.Payload, p.To.All = c.Target, true
		return p, nil
	case c.NDJSON && (c.Target == "" || c.Target == "-"):
		return p, nil // every line is a whole push
	case c.Target == "":
		return p, errors.New("a target is missing: ACCOUNT/DEVICE, ACCOUNT, --topic or --all")
	}
	account, device, ok := strings.Cut(c.Target, "/")
	if err := session.CheckName("account", account); err != nil {
		return p, err
	}
	if ok {
		if err := session.CheckName("device", device); err != nil {
			return p, err
		}
	}
	p.To = client.To{Account: account, Device: device}
	return p, nil
}

// fill reads the payload and puts it into the push, as the kind the flags say.
func (c *pushCommand) fill(t terminal, p *client.Push) error {
	payload, err := c.payload(t)
	if err != nil {
		return err
	}
	return c.set(p, payload)
}

func (c *pushCommand) payload(t terminal) ([]byte, error) {
	switch {
	case c.Payload == "":
		return nil, usageError{errors.New("a payload is missing: give it after the target, or - for standard input, or @FILE")}
	case c.Payload == "-":
		return readPayload("standard input", t.in)
	case c.Payload[0] == '@':
		f, err := os.Open(c.Payload[1:])
		if err != nil {
			return nil, usageError{fmt.Errorf("payload: %w", err)}
		}
		defer f.Close()
		return readPayload(c.Payload[1:], f)
	}
	return []byte(c.Payload), nil
}

func readPayload(name string, r io.Reader) ([]byte, error) {
	payload, err := io.ReadAll(io.LimitReader(r, payloadBytesMax+1))
	if err != nil {
		return nil, fmt.Errorf("payload: read %s: %w", name, err)
	}
	if len(payload) > payloadBytesMax {
		return nil, usageError{fmt.Errorf("payload: %s is longer than %d bytes", name, payloadBytesMax)}
	}
	return payload, nil
}

func (c *pushCommand) set(p *client.Push, payload []byte) error {
	switch {
	case c.Binary:
		p.Base64 = payload
	case c.Text:
		text := string(payload)
		p.Text = &text
	case !json.Valid(payload):
		shown := string(bytes.TrimSpace(payload[:min(len(payload), 40)]))
		return usageError{fmt.Errorf("the payload %q is not JSON: quote it for the shell ('{\"a\":1}'), or say --text or --binary", shown)}
	default:
		p.Payload = payload
	}
	return nil
}

// print shows an answer, a line for each device or, where the node gives only
// counts, for each outcome.
func (c *pushCommand) print(t terminal, to client.To, a client.Answer) {
	for _, o := range a.Outcomes {
		device := o.Device
		if to.Account != "" && !strings.Contains(device, "/") {
			device = to.Account + "/" + device
		}
		fmt.Fprintln(t.out, strings.TrimSpace(fmt.Sprintf("%s %s %s", device, o.Outcome, o.Node)))
	}
	outcomes := make([]string, 0, len(a.Counts))
	for outcome := range a.Counts {
		outcomes = append(outcomes, outcome)
	}
	slices.Sort(outcomes)
	for _, outcome := range outcomes {
		fmt.Fprintf(t.out, "%s %d\n", outcome, a.Counts[outcome])
	}
	switch {
	case len(a.Outcomes)+len(a.Counts) > 0:
	case c.Wait == "none":
		fmt.Fprintf(t.out, "accepted %s\n", a.ID)
	default:
		fmt.Fprintln(t.out, "no device")
	}
	if c.TTL > 0 && a.ID != "" {
		fmt.Fprintf(t.out, "message %s\n", a.ID)
	}
}

// reached reports whether every outcome is at the level asked for. A push that
// nobody got is not delivered, unless nobody was to be waited for.
func (c *pushCommand) reached(a client.Answer) bool {
	for _, o := range a.Outcomes {
		if !c.good(o.Outcome) {
			return false
		}
	}
	for outcome, n := range a.Counts {
		if n > 0 && !c.good(outcome) {
			return false
		}
	}
	return c.Wait == "none" || len(a.Outcomes)+len(a.Counts) > 0
}

// good reports whether an outcome is at the level asked for. Only a push with a ttl, which
// a line of a stream may have of its own, is ever queued.
func (c *pushCommand) good(word string) bool {
	outcome, _ := session.ParseOutcome(word)
	switch c.Wait {
	case "acked":
		return outcome == session.Acked
	case "none":
		return outcome == session.Acked || outcome == session.Written || outcome == session.Queued || outcome == session.Pending
	}
	return outcome == session.Acked || outcome == session.Written || outcome == session.Queued
}

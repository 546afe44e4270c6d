package clients

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Scenario is what a client does; suite.js has them.
type Scenario string

const (
	// Echo talks to an echo server: text, binary, sizes up to 1 MiB, bursts,
	// close codes; Node's ws also fragments and pings. Events: text, binary,
	// burst, closed, from ws also ping, fragmented, codes.
	Echo Scenario = "echo"
	// Push is a roost.v1 device: it waits for hello, acks each message that asks
	// for it and closes normally after Options.Count of them. Events: hello,
	// message and any other frame by its type, acked, closed.
	Push Scenario = "push"
	// Account is a roost.v1 device with another one, Options.Peer: it watches presence
	// until that is there, lists the account's devices, sends it a message and waits for
	// its. Events: hello, subscribed, online, listed, sent, message, offline (with
	// Options.Stay), closed.
	Account Scenario = "account"
	// Events is an EventSource, which only Browser has. It listens until Options.Count
	// messages have come and comes back when the stream ends. Events: hello, message,
	// goaway and close, with the event's data as the frame and its last event id as
	// the detail.
	Events Scenario = "events"
)

// Options change a scenario. The zero value is one message and no token.
type Options struct {
	Count int    `json:"count,omitempty"` // messages to receive; 0 means 1
	Token string `json:"token,omitempty"` // offered as roost.token.<token>
	Peer  string `json:"peer,omitempty"`  // Account: the other device
	Stay  bool   `json:"stay,omitempty"`  // Account: leave only after the other device
	Page  string `json:"page,omitempty"`  // Browser: URL of the page to run in; empty: one of the driver's own, on 127.0.0.1
}

// Event is one thing that a client reports. Frame is the server's frame it is
// about, as it came; Detail is for people.
type Event struct {
	Event  string          `json:"event"`
	Frame  json.RawMessage `json:"frame"`
	Detail string          `json:"detail"`
}

// lifeMax bounds a client's whole life; a browser on a very busy machine takes
// a minute to start.
const lifeMax = 5 * time.Minute

// Client is a running client. The goroutine of its test uses it.
type Client struct {
	t      testing.TB
	name   string
	cmd    *exec.Cmd
	events chan Event
	waited chan error
	stderr bytes.Buffer
	seen   []string
}

// NodeWS starts Node's ws package. It ends with the test at the latest.
func NodeWS(t testing.TB, s Scenario, url string, o Options) *Client {
	t.Helper()
	node := program(t, "node")
	return start(t, "Node's ws", node, filepath.Join(install(t), "node.js"), string(s), url, o.json())
}

// Browser starts a page in headless Chromium. It ends with the test at the
// latest.
func Browser(t testing.TB, s Scenario, url string, o Options) *Client {
	t.Helper()
	node, chromium := program(t, "node"), program(t, "chromium")
	return start(t, "Chromium", node, filepath.Join(install(t), "browser.js"), chromium, string(s), url, o.json())
}

func (o Options) json() string {
	b, err := json.Marshal(o)
	if err != nil {
		panic(err) // plain strings and numbers
	}
	return string(b)
}

func start(t testing.TB, name string, command ...string) *Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), lifeMax)
	c := &Client{t: t, name: name, events: make(chan Event, 64), waited: make(chan error, 1)}
	c.cmd = exec.CommandContext(ctx, command[0], command[1:]...)
	c.cmd.Stderr = &c.stderr
	// Playwright closes its browser on SIGTERM.
	c.cmd.Cancel = func() error { return c.cmd.Process.Signal(syscall.SIGTERM) }
	c.cmd.WaitDelay = 5 * time.Second
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 8<<20)
		for lines.Scan() {
			var e Event
			if json.Unmarshal(lines.Bytes(), &e) != nil || e.Event == "" {
				e = Event{Event: "failed", Detail: "not an event: " + lines.Text()}
			}
			select {
			case c.events <- e:
			case <-ctx.Done():
			}
		}
		c.waited <- c.cmd.Wait()
		close(c.events)
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return c
}

// Next returns the client's next event. A client that fails or ends instead
// fails the test, with what it has said.
func (c *Client) Next() Event {
	c.t.Helper()
	e, ok := <-c.events
	switch {
	case !ok:
		err := <-c.waited
		c.t.Fatalf("%s ended (%v) after %s\n%s", c.name, err, strings.Join(c.seen, ", "), c.stderr.String())
	case e.Event == "failed":
		c.t.Fatalf("%s failed after %s: %s", c.name, strings.Join(c.seen, ", "), e.Detail)
	}
	c.seen = append(c.seen, e.Event)
	return e
}

// Want returns the next event of the given name, passing over others.
func (c *Client) Want(event string) Event {
	c.t.Helper()
	for {
		if e := c.Next(); e.Event == event {
			return e
		} else if e.Event == "end" {
			c.t.Fatalf("%s ended without %q: %s", c.name, event, strings.Join(c.seen, ", "))
		}
	}
}

// End waits until the scenario has gone well to its end and returns the names
// of all events.
func (c *Client) End() []string {
	c.t.Helper()
	c.Want("end")
	return c.seen
}

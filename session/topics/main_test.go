package topics

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sockets keeps what was sent to each connection, and says that it was written.
type sockets struct {
	mu     sync.Mutex
	frames map[netpoll.ConnID][]string
	result netpoll.Result
}

func (s *sockets) Send(id netpoll.ConnID, _ netpoll.Op, payload []byte, rcpt netpoll.Receipt, tag uint64) {
	s.mu.Lock()
	if s.frames == nil {
		s.frames = map[netpoll.ConnID][]string{}
	}
	s.frames[id] = append(s.frames[id], string(payload))
	s.mu.Unlock()
	rcpt.Sent(tag, s.result)
}

func (s *sockets) take(x *session.Session) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	frames := s.frames[netpoll.ConnID(x.Conn)]
	delete(s.frames, netpoll.ConnID(x.Conn))
	return frames
}

// node is a broker with a fake under it.
type node struct {
	*Broker
	sockets *sockets
	conns   uint64
	newest  session.MessageID
}

func newNode(everything bool, others Others, change func(*Config)) *node {
	cfg := Default()
	if change != nil {
		change(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		panic(err)
	}
	n := &node{sockets: &sockets{result: netpoll.ResultWritten}}
	n.Broker = New(cfg, everything, n.sockets, others)
	return n
}

func (n *node) open(device string) *session.Session {
	s := session.New("a", device)
	n.conns++
	s.Conn = n.conns
	return s
}

// run answers frames with since until the test ends.
func (n *node) run(t testing.TB) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { n.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
}

var origin = session.Origin{Node: "n", Epoch: 1}

// publish publishes a text and returns its id and who is to have it, by device.
func (n *node) publish(topic, text string) (id, devices string) {
	n.newest++
	m := session.Message{ID: n.newest, Kind: session.Text, Payload: []byte(text), Topic: topic, SentMS: int64(n.newest)}
	var names []string
	for _, s := range n.Publish(nil, origin, &m) {
		names = append(names, s.Device)
	}
	slices.Sort(names)
	return origin.Text(uint64(n.newest)), strings.Join(names, " ")
}

// frame parses what a device would say.
func frame(t testing.TB, text string) *wire.DeviceFrame {
	t.Helper()
	f := new(wire.DeviceFrame)
	if err := wire.ParseDevice([]byte(text), f); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return f
}

func (n *node) say(t testing.TB, s *session.Session, text string) string {
	t.Helper()
	f := frame(t, text)
	if f.Type == wire.FrameUnsubscribe {
		return string(n.Unsubscribe(nil, s, f))
	}
	return string(n.Subscribe(nil, s, f))
}

func (n *node) subscribe(t testing.TB, s *session.Session, patterns ...string) {
	t.Helper()
	list, _ := json.Marshal(patterns)
	answer := n.say(t, s, fmt.Sprintf(`{"type":"subscribe","id":1,"topics":%s}`, list)) + strings.Join(n.sockets.take(s), "")
	if !strings.Contains(answer, `"ref":1,"status":"ok"`) || strings.Count(answer, `"status":"ok"`) != len(patterns)+1 {
		t.Fatalf("%v: %s", patterns, answer)
	}
}

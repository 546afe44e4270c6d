package jetstream

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/processor/processortest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for one thing: far longer than anything takes on a
// busy machine.
const patience = time.Minute

var discard = slog.New(slog.DiscardHandler)

// server is a NATS server within the test's process, over a real socket. Its address of
// loopback is nobody else's, so that its port is free when it comes back.
type server struct {
	t       *testing.T
	options *natsserver.Options
	running *natsserver.Server
	conn    *nats.Conn
	js      jetstream.JetStream
}

func newServer(t *testing.T, change ...func(*natsserver.Options)) *server {
	t.Helper()
	o := &natsserver.Options{Host: "127.41.7.3", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true}
	for _, c := range change {
		c(o)
	}
	s := &server{t: t, options: o}
	s.start()
	t.Cleanup(func() { s.shutdown() })
	return s
}

func (s *server) start() {
	s.t.Helper()
	running, err := natsserver.NewServer(s.options.Clone()) // a server writes to its options while it runs
	if err != nil {
		s.t.Fatal(err)
	}
	running.Start()
	if !running.ReadyForConnections(patience) {
		s.t.Fatal("the server does not start")
	}
	s.running = running
	s.options.Port = running.Addr().(*net.TCPAddr).Port // it comes back there
}

func (s *server) shutdown() {
	s.running.Shutdown()
	s.running.WaitForShutdown()
}

// connect makes the test's own connection.
func (s *server) connect() *server {
	s.t.Helper()
	conn, err := nats.Connect(s.running.ClientURL(), nats.Timeout(patience), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(conn.Close)
	s.conn = conn
	if s.js, err = jetstream.New(conn); err != nil {
		s.t.Fatal(err)
	}
	return s
}

// addStream makes a stream with these subjects.
func (s *server) addStream(name string, subjects ...string) {
	s.t.Helper()
	if _, err := s.js.CreateStream(s.t.Context(), jetstream.StreamConfig{Name: name, Subjects: subjects}); err != nil {
		s.t.Fatal(err)
	}
}

// publish puts n messages on a subject, for three devices in turn, with their place as
// id: subject/number.
func (s *server) publish(subject string, from, n int) {
	s.t.Helper()
	for i := from; i < from+n; i++ {
		s.send(subject, "{}", "roost-account", "account", "roost-device", fmt.Sprint("device-", i%3),
			"content-type", "application/json", "roost-id", fmt.Sprintf("%s/%d", subject, i))
	}
}

func (s *server) send(subject, payload string, headers ...string) {
	s.t.Helper()
	m := &nats.Msg{Subject: subject, Data: []byte(payload), Header: nats.Header{}}
	for i := 0; i < len(headers); i += 2 {
		m.Header.Set(headers[i], headers[i+1])
	}
	if _, err := s.js.PublishMsg(s.t.Context(), m); err != nil {
		s.t.Fatal(err)
	}
}

// waiting returns how many messages of a durable have no final answer yet.
func (s *server) waiting(durable string) int {
	c, err := s.js.Consumer(context.Background(), "push", durable)
	if err != nil {
		return -1
	}
	info, err := c.Info(context.Background())
	if err != nil {
		return -1
	}
	if info.Delivered.Consumer == 0 {
		return -1 // one that was just made may not have counted yet
	}
	return int(info.NumPending) + info.NumAckPending
}

// read returns the messages of a subject of a stream, once there are n.
func (s *server) read(stream, subject string, n int) (list []jetstream.Msg) {
	s.t.Helper()
	c, err := s.js.CreateConsumer(s.t.Context(), stream, jetstream.ConsumerConfig{FilterSubject: subject, AckPolicy: jetstream.AckNonePolicy})
	if err != nil {
		s.t.Fatal(err)
	}
	batch, err := c.Fetch(n, jetstream.FetchMaxWait(patience))
	if err != nil {
		s.t.Fatal(err)
	}
	for m := range batch.Messages() {
		list = append(list, m)
	}
	if len(list) != n {
		s.t.Fatalf("%d messages on %s, want %d", len(list), subject, n)
	}
	return list
}

// config returns a configuration for tests: everything happens soon, but that a message
// whose answer is late comes again, which a busy machine must not cause.
func (s *server) config() Config {
	c := Default()
	c.Enabled = true
	c.Connection.Servers = []string{s.running.ClientURL()}
	c.Connection.ReconnectWait = 20 * time.Millisecond
	c.Stream = "push"
	c.Durable = "d" + strings.ToLower(rand.Text()[:8])
	c.NormalSubjects = []string{"push.normal"}
	c.FetchWait = 100 * time.Millisecond
	c.AckWait = patience
	c.NakDelay = 50 * time.Millisecond
	c.LagInterval = 50 * time.Millisecond
	c.StopTimeout = 5 * time.Second
	return c
}

// source is a Source that a test runs.
type source struct {
	*Source
	t    *testing.T
	end  context.CancelFunc
	done chan error
	once sync.Once
}

func run(t *testing.T, c Config, s *processortest.Sink) *source {
	t.Helper()
	src, err := New(c, s, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &source{Source: src, t: t, end: cancel, done: make(chan error, 1)}
	go func() { r.done <- src.Run(ctx) }()
	t.Cleanup(r.stop)
	return r
}

// stop ends the source and waits for it; it may be called again.
func (r *source) stop() {
	r.once.Do(func() {
		r.end()
		select {
		case err := <-r.done:
			if err != nil {
				r.t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			r.t.Error("Run does not return")
		}
	})
}

// eventually waits until ok says so; how long it takes is not what is tested.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never came true: %s", what)
		}
	}
}

// inOrder fails the test unless the ids of a subject came in order, 0 to n-1.
func inOrder(t *testing.T, taken []string, subject string, n int) {
	t.Helper()
	var got []string
	for _, id := range taken {
		if strings.HasPrefix(id, subject+"/") {
			got = append(got, id)
		}
	}
	var want []string
	for i := range n {
		want = append(want, fmt.Sprintf("%s/%d", subject, i))
	}
	if !slices.Equal(got, want) {
		t.Errorf("of %s came %v", subject, got)
	}
}

const normal, high, low = session.PriorityNormal, session.PriorityHigh, session.PriorityLow

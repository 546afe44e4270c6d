package jetstreamtest

import (
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Server is a NATS server with one stream. It ends with the test, whose goroutine alone may
// use it.
type Server struct {
	t      testing.TB
	stream jetstream.Stream
	js     jetstream.JetStream

	URL string // nats://host:port
}

// Start starts a server with a stream of that name, which has these subjects.
func Start(t testing.TB, stream string, subjects ...string) *Server {
	t.Helper()
	running, err := natsserver.NewServer(&natsserver.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	running.Start()
	t.Cleanup(func() {
		running.Shutdown()
		running.WaitForShutdown()
	})
	if !running.ReadyForConnections(time.Minute) {
		t.Fatal("the server does not start")
	}
	conn, err := nats.Connect(running.ClientURL(), nats.Timeout(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	s := &Server{t: t, URL: running.ClientURL()}
	if s.js, err = jetstream.New(conn); err != nil {
		t.Fatal(err)
	}
	if s.stream, err = s.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: stream, Subjects: subjects}); err != nil {
		t.Fatal(err)
	}
	return s
}

// Publish puts a message on a subject; headers are names and values in turn.
func (s *Server) Publish(subject, payload string, headers ...string) {
	s.t.Helper()
	m := nats.NewMsg(subject)
	m.Data = []byte(payload)
	for i := 0; i < len(headers); i += 2 {
		m.Header.Add(headers[i], headers[i+1])
	}
	if _, err := s.js.PublishMsg(s.t.Context(), m); err != nil {
		s.t.Fatal(err)
	}
}

// Unsettled returns how many messages of the stream the consumer of that name has not
// settled.
func (s *Server) Unsettled(consumer string) int {
	s.t.Helper()
	c, err := s.stream.Consumer(s.t.Context(), consumer)
	if err != nil {
		s.t.Fatal(err)
	}
	info := c.CachedInfo()
	return int(info.NumPending) + info.NumAckPending
}

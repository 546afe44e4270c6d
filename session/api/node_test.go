package api

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/deliver"
	"github.com/roostpush/roost/session/mailbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var testOrigin = session.Origin{Node: "n1", Epoch: 7}

// testNode is a node whose registry and router are real. Only the sockets and the
// store are played.
type testNode struct {
	*Server
	t       testing.TB
	reg     *session.Registry
	router  *deliver.Router
	devices *devices
	records *records
	mailbox *fakeMailbox
	reasons []Reason
}

// newTestNode returns a node with the given changes to the default configuration.
func newTestNode(t testing.TB, change func(*Config)) *testNode {
	t.Helper()
	n := &testNode{t: t, reg: session.NewRegistry(), records: &records{byAddress: map[session.Address]session.Record{}}}
	n.devices = newDevices(n)
	n.router = deliver.NewRouter(deliver.Default(), testOrigin, n.reg, n.devices, nil)
	n.mailbox = &fakeMailbox{n: n, fates: map[session.ID][]mailbox.Fate{}, watched: map[session.ID]mailbox.Watcher{}}
	cfg := Default()
	if change != nil {
		change(&cfg)
	}
	var err error
	n.Server, err = New(cfg, Node{
		Origin: testOrigin, Sessions: n.reg, Pusher: n.router, Keeper: n.mailbox, Presence: n.mailbox, Records: n.records, Sockets: n.devices,
		Ready: func() []Reason { return n.reasons }, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Version: "test",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.devices.stop)
	return n
}

// connect opens a session that behaves as told: see devices.
func (n *testNode) connect(account, name string, behave behaviour) *session.Session {
	s := session.New(account, name)
	s.OpenedMS = 1_700_000_000_000
	n.devices.mu.Lock()
	n.devices.newest++
	s.Conn = n.devices.newest
	n.devices.conns[s.Conn] = &conn{behave: behave, session: s}
	n.devices.mu.Unlock()
	n.reg.Open(s)
	return s
}

// listen serves on a real listener and returns its URL; the server is shut down at
// the end of the test.
func (n *testNode) listen() string {
	n.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		n.t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- n.Serve(l) }()
	n.t.Cleanup(func() {
		n.http.Close()
		if err := <-served; err != nil {
			n.t.Error(err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	return "http://" + l.Addr().String()
}

// call answers one request without a network.
func (n *testNode) call(method, path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = "127.0.0.1:8081"
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	n.ServeHTTP(w, r)
	return w
}

// behaviour says what a device does with what it is sent.
type behaviour int

const (
	takes    behaviour = iota // the kernel takes it
	acks                      // and the device acks it
	stuck                     // nothing is ever heard of it
	breaks                    // the connection ends in the middle of it
	gone                      // the connection is not there any more
	overfull                  // its budget is full
)

type conn struct {
	behave  behaviour
	session *session.Session
	frames  [][]byte
	ops     []netpoll.Op
	closed  uint16
	queued  int
}

type sent struct {
	id      netpoll.ConnID
	payload []byte
	op      netpoll.Op
	rcpt    netpoll.Receipt
	tag     uint64
}

// devices plays the reactor and the devices behind it: what is sent goes through one
// queue to one goroutine, the loop, which gives receipts as the behaviours say.
type devices struct {
	n      *testNode
	mu     sync.Mutex
	newest uint64
	conns  map[uint64]*conn
	keep   bool // frames
	queue  chan sent
	loop   sync.WaitGroup
	once   sync.Once
}

func newDevices(n *testNode) *devices {
	d := &devices{n: n, conns: map[uint64]*conn{}, keep: true, queue: make(chan sent, 1<<16)}
	d.loop.Go(func() {
		for s := range d.queue {
			d.take(s)
		}
	})
	return d
}

func (d *devices) stop() { d.once.Do(func() { close(d.queue) }); d.loop.Wait() }

func (d *devices) Send(id netpoll.ConnID, op netpoll.Op, payload []byte, rcpt netpoll.Receipt, tag uint64) {
	d.queue <- sent{id, bytes.Clone(payload), op, rcpt, tag}
}

func (d *devices) SendMany(ids []netpoll.ConnID, op netpoll.Op, payload []byte, rcpt netpoll.Receipt, tag uint64) {
	for i, id := range ids {
		d.Send(id, op, payload, rcpt, tag+uint64(i))
	}
}

func (d *devices) take(s sent) {
	d.mu.Lock()
	c := d.conns[uint64(s.id)]
	if c != nil && d.keep {
		c.frames, c.ops = append(c.frames, s.payload), append(c.ops, s.op)
	}
	d.mu.Unlock()
	result := netpoll.ResultWritten
	switch {
	case c == nil || c.behave == gone:
		result = netpoll.ResultGone
	case c.behave == breaks:
		result = netpoll.ResultCut
	case c.behave == overfull:
		result = netpoll.ResultFull
	case c.behave == stuck:
		return
	}
	if s.rcpt != nil {
		s.rcpt.Sent(s.tag, result)
	}
	if c != nil && c.behave == acks {
		var frame struct {
			ID  string
			Ack bool
		}
		if json.Unmarshal(s.payload, &frame) == nil && frame.Ack {
			_, number, _ := session.ParseID(frame.ID)
			d.n.router.Ack(c.session, testOrigin, session.MessageID(number))
		}
	}
}

func (d *devices) Close(id netpoll.ConnID, code uint16, _ string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c := d.conns[uint64(id)]; c != nil {
		c.closed = code
	}
}

func (d *devices) Slowest(n int) (list []netpoll.Slow) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, c := range d.conns {
		if c.queued > 0 && len(list) < n {
			list = append(list, netpoll.Slow{ID: netpoll.ConnID(id), QueuedBytes: c.queued})
		}
	}
	return list
}

// last returns the newest frame that a session got.
func (d *devices) last(s *session.Session) (op netpoll.Op, frame string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.conns[s.Conn]
	if len(c.frames) == 0 {
		return 0, ""
	}
	return c.ops[len(c.ops)-1], string(c.frames[len(c.frames)-1])
}

func (d *devices) count(s *session.Session) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.conns[s.Conn].frames)
}

// records is a store in ten lines.
type records struct {
	mu        sync.Mutex
	byAddress map[session.Address]session.Record
	err       error
}

func (r *records) add(rec session.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.byAddress[rec.Address] = rec
}

func (r *records) Device(a session.Address) (session.Record, bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rec, ok := r.byAddress[a]
	return rec, ok, r.err
}

func (r *records) Account(account string, limit int) (list []session.Record, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for a, rec := range r.byAddress {
		if a.Account == account && len(list) < limit {
			list = append(list, rec)
		}
	}
	return list, r.err
}

// decode reads a JSON answer.
func decode[T any](t testing.TB, body []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return v
}

// pushAnswer is what a push may answer, as a client sees it.
type pushAnswer struct {
	Line     int
	Status   int
	ID       string
	Ref      string
	Outcomes []struct{ Device, Outcome, Node string }
	Total    int
	Counts   map[string]int
	Code     string
	Detail   string
	Error    *struct {
		Code, Detail string
		Line         int
	}
}

// eventually waits for a condition that another goroutine makes true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not within a minute: " + what)
		}
	}
}

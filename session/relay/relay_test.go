package relay_test

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/deliver"
	"github.com/roostpush/roost/session/relay"
	"github.com/roostpush/roost/session/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sockets is a fake reactor: it keeps what each connection gets, and takes it when
// the test says so, or at once.
type sockets struct {
	mu     sync.Mutex
	got    map[netpoll.ConnID][]string
	wait   []func(netpoll.Result)
	atOnce bool
}

func (s *sockets) Send(id netpoll.ConnID, op netpoll.Op, payload []byte, rcpt netpoll.Receipt, tag uint64) {
	s.mu.Lock()
	s.got[id] = append(s.got[id], fmt.Sprint(op, " ", string(payload)))
	if rcpt != nil && !s.atOnce {
		s.wait = append(s.wait, func(r netpoll.Result) { rcpt.Sent(tag, r) })
	}
	s.mu.Unlock()
	if rcpt != nil && s.atOnce {
		rcpt.Sent(tag, netpoll.ResultWritten)
	}
}

func (s *sockets) SendMany(ids []netpoll.ConnID, op netpoll.Op, payload []byte, rcpt netpoll.Receipt, tag uint64) {
	for i, id := range ids {
		s.Send(id, op, payload, rcpt, tag+uint64(i))
	}
}

// settle answers the sends so far, the first with the first result and so on, the
// last one for the rest.
func (s *sockets) settle(results ...netpoll.Result) {
	wait := s.wait
	s.wait = nil
	for i, fn := range wait {
		fn(results[min(i, len(results)-1)])
	}
}

// take returns what a connection got since the last time.
func (s *sockets) take(x *session.Session) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := strings.Join(s.got[netpoll.ConnID(x.Conn)], "\n")
	delete(s.got, netpoll.ConnID(x.Conn))
	return got
}

// account is alice's devices on a node.
type account struct {
	relay           *relay.Relay[*deliver.Delivery]
	router          *deliver.Router
	reg             *session.Registry
	sockets         *sockets
	mailbox         *mailbox
	phone, tv, raw  *session.Session
	mute, someoneBy *session.Session
}

func newAccount(change func(*relay.Config)) *account {
	cfg := relay.Default()
	if change != nil {
		change(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		panic(err)
	}
	a := &account{reg: session.NewRegistry(), sockets: &sockets{got: map[netpoll.ConnID][]string{}}}
	a.router = deliver.NewRouter(deliver.Default(), session.Origin{Node: "n", Epoch: 1}, a.reg, a.sockets, nil)
	a.mailbox = new(mailbox)
	a.relay = relay.New(cfg, a.router, a.mailbox, a.sockets, func() *deliver.Delivery { return new(deliver.Delivery) })
	conn := uint64(0)
	open := func(account, device string, may session.Flags, speaks session.Permissions) *session.Session {
		s := session.New(account, device)
		conn++
		s.Conn, s.Flags, s.Permissions = conn, may, speaks
		a.reg.Open(s)
		return s
	}
	a.phone = open("alice", "phone", session.MaySend, 0)
	a.tv = open("alice", "tv", session.MaySend, 0)
	a.raw = open("alice", "raw", session.MaySend, session.Raw)
	a.mute = open("carol", "mute", 0, 0)
	a.someoneBy = open("bob", "tv", session.MaySend, 0)
	return a
}

// send has a device send a frame at the time 1,000.
func (a *account) send(t *testing.T, from *session.Session, frame string) {
	t.Helper()
	var f wire.DeviceFrame
	if err := wire.ParseDevice([]byte(frame), &f); err != nil {
		t.Fatal(err)
	}
	a.relay.Send(from, &f, 1000)
}

func (a *account) expect(t *testing.T, s *session.Session, want string) {
	t.Helper()
	if got := a.sockets.take(s); got != want {
		t.Errorf("%v got\n%s\nwant\n%s", s, got, want)
	}
}

func TestSendToDevice(t *testing.T) {
	for res, status := range map[netpoll.Result]string{
		netpoll.ResultWritten: "written", netpoll.ResultCut: "lost", netpoll.ResultGone: "offline", netpoll.ResultFull: "overloaded",
	} {
		a := newAccount(nil)
		a.send(t, a.phone, `{"type":"send","id":"r1","to":{"device":"tv"},"payload":{ "from":{"device":"boss"} }}`)
		a.expect(t, a.phone, "")
		a.expect(t, a.tv, `1 {"type":"message","id":"n.1.1","payload":{ "from":{"device":"boss"} },"from":{"device":"phone"},"sent_ms":1000}`)
		a.sockets.settle(res)
		a.expect(t, a.phone, `1 {"type":"result","ref":"r1","status":"`+status+`"}`)
		a.expect(t, a.raw, "")
		a.expect(t, a.someoneBy, "")
		if s := a.relay.Stats(); s != (relay.Stats{Sent: 1}) {
			t.Errorf("stats %+v", s)
		}
	}
}

func TestSendWithoutID(t *testing.T) {
	a := newAccount(nil)
	a.send(t, a.phone, `{"type":"send","to":{"device":"tv","account":"alice"},"payload":1}`)
	a.send(t, a.phone, `{"type":"send","to":{"device":"nobody"},"payload":1}`)
	a.sockets.settle(netpoll.ResultWritten)
	a.expect(t, a.tv, `1 {"type":"message","id":"n.1.1","payload":1,"from":{"device":"phone"},"sent_ms":1000}`)
	a.expect(t, a.phone, "")
}

func TestSendToOthers(t *testing.T) {
	for name, tc := range map[string]struct {
		results []netpoll.Result
		want    string
	}{
		"alike":  {[]netpoll.Result{netpoll.ResultWritten}, `"status":"written","devices":[{"device":"tv","outcome":"written"},{"device":"raw","outcome":"written"}]}`},
		"differ": {[]netpoll.Result{netpoll.ResultCut, netpoll.ResultWritten}, `"status":"ok","devices":[{"device":"tv","outcome":"lost"},{"device":"raw","outcome":"written"}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAccount(nil)
			a.send(t, a.phone, `{"type":"send","id":2,"to":{"devices":"others"},"payload":[1]}`)
			a.expect(t, a.tv, `1 {"type":"message","id":"n.1.1","payload":[1],"from":{"device":"phone"},"sent_ms":1000}`)
			a.expect(t, a.raw, `1 [1]`)
			a.expect(t, a.phone, "")
			a.sockets.settle(tc.results...)
			a.expect(t, a.phone, `1 {"type":"result","ref":2,`+tc.want)
		})
	}
	a := newAccount(nil)
	a.send(t, a.someoneBy, `{"type":"send","id":2,"to":{"devices":"others"},"payload":[1]}`)
	a.expect(t, a.someoneBy, `1 {"type":"result","ref":2,"status":"offline","devices":[]}`)
}

func TestSendAcked(t *testing.T) {
	a := newAccount(nil)
	a.send(t, a.phone, `{"type":"send","id":3,"to":{"device":"tv"},"payload":1,"wait":"acked"}`)
	a.expect(t, a.tv, `1 {"type":"message","id":"n.1.1","payload":1,"from":{"device":"phone"},"sent_ms":1000,"ack":true}`)
	a.sockets.settle(netpoll.ResultWritten)
	a.expect(t, a.phone, "")
	if a.router.Ack(a.phone, session.Origin{Node: "n", Epoch: 1}, 1) || !a.router.Ack(a.tv, session.Origin{Node: "n", Epoch: 1}, 1) {
		t.Error("the ack of the sender is taken, or that of the device is not")
	}
	a.expect(t, a.phone, `1 {"type":"result","ref":3,"status":"acked"}`)
}

func TestRefusals(t *testing.T) {
	big := `"` + strings.Repeat("x", 99) + `"`
	for name, tc := range map[string]struct {
		from        func(*account) *session.Session
		frame, want string
	}{
		"no permission":   {func(a *account) *session.Session { return a.mute }, `{"type":"send","id":1,"to":{"device":"tv"},"payload":1}`, `"ref":1,"code":"forbidden"`},
		"another account": {nil, `{"type":"send","id":"x","to":{"account":"bob","device":"tv"},"payload":1}`, `"ref":"x","code":"forbidden"`},
		"others of bob":   {nil, `{"type":"send","to":{"account":"bob","devices":"others"},"payload":1}`, `"code":"forbidden"`},
		"ttl":             {nil, `{"type":"send","id":1,"to":{"device":"tv"},"payload":1,"ttl_ms":2419200001}`, `"ref":1,"code":"ttl_out_of_range"`},
		"too large":       {nil, `{"type":"send","id":1,"to":{"device":"tv"},"payload":` + big + `}`, `"ref":1,"code":"too_large"`},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAccount(func(c *relay.Config) { c.PayloadBytesMax = 100 })
			from := a.phone
			if tc.from != nil {
				from = tc.from(a)
			}
			a.send(t, from, tc.frame)
			got := a.sockets.take(from)
			if !regexp.MustCompile(`^1 {"type":"error",` + regexp.QuoteMeta(tc.want) + `,"detail":"[^"]+"}$`).MatchString(got) {
				t.Errorf("got %s", got)
			}
			a.expect(t, a.tv, "")
			a.expect(t, a.someoneBy, "")
			if s := a.relay.Stats(); s != (relay.Stats{Refused: 1}) {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

func TestTimeout(t *testing.T) {
	a := newAccount(func(c *relay.Config) { c.Timeout = 50 * time.Millisecond })
	a.send(t, a.phone, `{"type":"send","id":1,"to":{"device":"tv"},"payload":1}`)
	a.send(t, a.phone, `{"type":"send","id":2,"to":{"device":"raw"},"payload":1,"wait":"acked"}`)
	a.send(t, a.phone, `{"type":"send","id":3,"to":{"device":"nobody"},"payload":1}`)
	a.expect(t, a.phone, `1 {"type":"result","ref":3,"status":"offline"}`)
	a.relay.Sweep(1049)
	a.expect(t, a.phone, "")
	if s := a.relay.Stats(); s.Pending != 2 {
		t.Errorf("stats %+v", s)
	}
	a.relay.Sweep(1050)
	a.expect(t, a.phone, "1 {\"type\":\"result\",\"ref\":1,\"status\":\"timeout\"}\n1 {\"type\":\"result\",\"ref\":2,\"status\":\"timeout\"}")
	a.sockets.settle(netpoll.ResultWritten)
	a.relay.Sweep(1 << 40)
	a.expect(t, a.phone, "")
	if s := a.relay.Stats(); s != (relay.Stats{Sent: 3, Expired: 2}) {
		t.Errorf("stats %+v", s)
	}
}

func TestPendingMax(t *testing.T) {
	a := newAccount(func(c *relay.Config) { c.PendingMax = 2 })
	for i := range 3 {
		a.send(t, a.phone, fmt.Sprintf(`{"type":"send","id":%d,"to":{"device":"tv"},"payload":1}`, i))
	}
	if got := a.sockets.take(a.phone); !strings.HasPrefix(got, `1 {"type":"error","ref":2,"code":"overloaded"`) {
		t.Errorf("got %s", got)
	}
	a.sockets.settle(netpoll.ResultWritten)
	a.sockets.take(a.phone)
	a.send(t, a.phone, `{"type":"send","id":4,"to":{"device":"tv"},"payload":1}`)
	a.sockets.settle(netpoll.ResultWritten)
	a.expect(t, a.phone, `1 {"type":"result","ref":4,"status":"written"}`)
	if s := a.relay.Stats(); s != (relay.Stats{Sent: 3, Refused: 1, Overloaded: 1}) {
		t.Errorf("stats %+v", s)
	}
}

func TestRaw(t *testing.T) {
	a := newAccount(func(c *relay.Config) { c.PayloadBytesMax = 10 })
	if !a.relay.SendRaw(a.raw, session.Text, []byte("hi"), 1000) || !a.relay.SendRaw(a.raw, session.Binary, []byte{1}, 1000) {
		t.Error("refused")
	}
	want := "1 {\"type\":\"message\",\"id\":\"n.1.1\",\"text\":\"hi\",\"from\":{\"device\":\"raw\"},\"sent_ms\":1000}\n" +
		"1 {\"type\":\"message\",\"id\":\"n.1.2\",\"base64\":\"AQ==\",\"from\":{\"device\":\"raw\"},\"sent_ms\":1000}"
	a.expect(t, a.phone, want)
	a.expect(t, a.tv, want)
	if a.relay.SendRaw(a.raw, session.Text, []byte("12345678901"), 1) || a.relay.SendRaw(a.mute, session.Text, nil, 1) {
		t.Error("not refused")
	}
	a.sockets.settle(netpoll.ResultWritten)
	a.expect(t, a.raw, "")
	a.expect(t, a.mute, "")
	if s := a.relay.Stats(); s.Sent != 2 || s.Refused != 2 {
		t.Errorf("stats %+v", s)
	}
}

// TestRace has senders, receipts and sweeps meet: every send with an id gets exactly
// one answer.
func TestRace(t *testing.T) {
	const rounds = 400
	a := newAccount(func(c *relay.Config) { c.PendingMax = 50 })
	var senders, others sync.WaitGroup
	stop := make(chan struct{})
	for _, from := range []*session.Session{a.phone, a.tv, a.someoneBy} {
		senders.Go(func() {
			var f wire.DeviceFrame
			for i := range rounds {
				to := []string{`{"devices":"others"}`, `{"device":"phone"}`, `{"device":"nobody"}`}[i%3]
				if err := wire.ParseDevice(fmt.Appendf(nil, `{"type":"send","id":%d,"to":%s,"payload":1}`, i, to), &f); err != nil {
					t.Error(err)
				}
				a.relay.Send(from, &f, int64(i))
			}
		})
	}
	loop := func(fn func()) {
		others.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					fn()
				}
			}
		})
	}
	loop(func() {
		a.sockets.mu.Lock()
		wait := a.sockets.wait
		a.sockets.wait = nil
		a.sockets.mu.Unlock()
		for i, fn := range wait {
			fn(netpoll.Result(i % 4))
		}
	})
	loop(func() { a.relay.Sweep(1 << 40) })
	senders.Wait()
	close(stop)
	others.Wait()
	a.relay.Sweep(1 << 40)
	for _, from := range []*session.Session{a.phone, a.tv, a.someoneBy} {
		answers := map[string]int{}
		for _, m := range regexp.MustCompile(`"ref":(\d+),"(status|code)`).FindAllStringSubmatch(a.sockets.take(from), -1) {
			answers[m[1]]++
		}
		for i := range rounds {
			if n := answers[fmt.Sprint(i)]; n != 1 {
				t.Fatalf("%v: send %d is answered %d times", from, i, n)
			}
		}
	}
	if s := a.relay.Stats(); s.Pending != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestConfig(t *testing.T) {
	if err := relay.Default().Validate(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*relay.Config){
		"timeout":           func(c *relay.Config) { c.Timeout = 0 },
		"pending_max":       func(c *relay.Config) { c.PendingMax = 0 },
		"payload_bytes_max": func(c *relay.Config) { c.PayloadBytesMax = 0 },
	} {
		cfg := relay.Default()
		change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

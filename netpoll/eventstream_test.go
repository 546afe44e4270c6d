package netpoll

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws/wsutil"
	"golang.org/x/sys/unix"
)

// What a client of event streams sees is tested in netpolltest; here is what it does not.

// streaming makes a collector whose every path but /ws is an event stream.
type streaming struct{ *collector }

func (streaming) Get(*Request) Answer { return Answer{Events: true} }

// subscribe begins an event stream and returns what reads its lines.
func subscribe(t testing.TB, addr string) *bufio.Reader {
	t.Helper()
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + addr + "/sse")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" || resp.ContentLength != -1 {
		t.Fatalf("%s, %v", resp.Status, resp.Header)
	}
	return bufio.NewReader(resp.Body)
}

// wantLines reads the given lines, comments left out.
func wantLines(t testing.TB, r *bufio.Reader, want ...string) {
	t.Helper()
	for _, line := range want {
		got := ":"
		for got == ":" {
			text, err := r.ReadString('\n')
			if err != nil {
				t.Fatalf("%v instead of %q", err, line)
			}
			got = strings.TrimSuffix(text, "\n")
		}
		if got != line {
			t.Fatalf("line %q, want %q", got, line)
		}
	}
}

func TestSendsReachEventStreams(t *testing.T) {
	cfg := Default()
	cfg.Loops = 2
	h := streaming{newCollector()}
	r, addr := serve(t, cfg, h)
	var ids []ConnID
	var streams []*bufio.Reader
	for range 10 {
		lines := subscribe(t, addr)
		streams = append(streams, lines)
		ids = append(ids, <-h.opened)
	}
	socket := dial(t, addr)
	ids = append(ids, <-h.opened)
	rc := newReceipts(len(ids) + 10)
	r.SendMany(ids, OpText, []byte("to\nall"), rc, 0) // both kinds in one call
	event := AppendEvent(nil, "told", []byte("i.1.1"), []byte("{}"))
	r.SendMany(ids[:10], OpEvent, event, rc, 0)
	for _, s := range streams {
		wantLines(t, s, "data: to", "data: all", "", "event: told", "id: i.1.1", "data: {}", "")
	}
	if got, _, err := wsutil.ReadServerData(socket); err != nil || string(got) != "to\nall" {
		t.Fatalf("the WebSocket got %q, %v", got, err)
	}
	rc.wait(t)
	if n := rc.count[ResultWritten].Load(); n != 21 {
		t.Fatalf("%d of 21 are written", n)
	}
	if s := r.Stats(); s.Streams != 10 || s.StreamsOpened != 10 || s.Upgraded != 1 || s.MessagesOut != 21 {
		t.Fatalf("%+v", s)
	}
	r.Close(ids[0], 4001, "replaced")
	r.Send(ids[0], OpText, []byte("too late"), nil, 0)
	wantLines(t, streams[0], "retry: "+strconv.Itoa(retryAfterFinal), "event: close", `data: {"code":4001,"reason":"replaced"}`, "")
	if _, err := streams[0].ReadByte(); err != io.EOF {
		t.Fatalf("%v behind the close, want the end", err)
	}
	if code := <-h.closed; code != 4001 {
		t.Fatalf("the handler heard %d", code)
	}
	gone := newReceipts(1)
	r.Send(ids[0], OpEvent, event, gone, 0)
	gone.wait(t)
	if gone.count[ResultGone].Load() != 1 {
		t.Fatal("a send to a stream that is gone must say so")
	}
}

// TestSlowEventStream has a client that does not read: its stream ends with 4004 behind
// whole events.
func TestSlowEventStream(t *testing.T) {
	cfg := Default()
	cfg.QueuedSoftBytes, cfg.QueuedHardBytes = 64<<10, 512<<10
	h := streaming{newCollector()}
	r, addr := serve(t, cfg, h)
	lines := subscribe(t, addr)
	id := <-h.opened
	const n = 4000
	rc := newReceipts(n)
	text := strings.Repeat("x", 4<<10)
	for range n {
		r.Send(id, OpText, []byte(text), rc, 0)
	}
	whole := 0
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("%v after %d events", err, whole)
		}
		if strings.HasPrefix(line, "retry: ") {
			break
		}
		if line != "data: "+text+"\n" {
			t.Fatalf("after %d whole events: %.60q", whole, line)
		}
		wantLines(t, lines, "")
		whole++
	}
	wantLines(t, lines, "event: close", `data: {"code":4004,"reason":"{\"reconnect_ms\":5000}"}`, "")
	rc.wait(t)
	if int64(whole) != rc.count[ResultWritten].Load() || rc.count[ResultFull].Load() == 0 {
		t.Fatalf("%d events came, %d are said to be written, %d full", whole, rc.count[ResultWritten].Load(), rc.count[ResultFull].Load())
	}
	if code := <-h.closed; code != CloseSlow {
		t.Fatalf("the handler heard %d", code)
	}
	if s := r.Stats(); s.TooSlow != 1 || s.QueuedBytes != 0 || s.SlowNow != 0 || s.Streams != 0 {
		t.Fatalf("%+v", s)
	}
}

// TestEventAboveEveryBudget: payload of line ends grows sevenfold; what could never wait
// for a peer is refused, and the stream stays.
func TestEventAboveEveryBudget(t *testing.T) {
	cfg := Default()
	cfg.QueuedHardBytes = 512 << 10
	h := streaming{newCollector()}
	r, addr := serve(t, cfg, h)
	lines := subscribe(t, addr)
	id := <-h.opened
	rc := newReceipts(2)
	r.Send(id, OpText, []byte(strings.Repeat("\n", 100<<10)), rc, 0)
	r.Send(id, OpText, []byte("after"), rc, 0)
	wantLines(t, lines, "data: after", "")
	rc.wait(t)
	if rc.count[ResultFull].Load() != 1 || rc.count[ResultWritten].Load() != 1 {
		t.Fatalf("full %d, written %d", rc.count[ResultFull].Load(), rc.count[ResultWritten].Load())
	}
}

// TestCloseBehindWaitingEvents closes a stream whose client has not taken all of an event:
// the event comes whole, the close behind it, and then the end.
func TestCloseBehindWaitingEvents(t *testing.T) {
	d, err := NewDetached(Default(), streaming{newCollector()})
	if err != nil {
		t.Fatal(err)
	}
	d.Feed([]byte("GET /sse HTTP/1.1\r\nHost: a\r\n\r\n"))
	d.Output()
	d.room = 8
	d.loop.enter(d.conn)
	d.conn.Reply(OpText, []byte("one"))
	d.loop.leave(d.conn)
	d.loop.enter(d.conn)
	d.conn.Reply(OpText, []byte("two"))
	d.conn.Close(4003, "over")
	d.conn.Reply(OpText, []byte("too late"))
	d.loop.leave(d.conn)
	if out := string(d.Output()); out != "data: on" || d.Closed() {
		t.Fatalf("%q, closed %v", out, d.Closed())
	}
	d.room = -1
	d.loop.enter(d.conn)
	d.loop.writable(d.conn)
	d.loop.leave(d.conn)
	want := "e\n\ndata: two\n\nretry: 60000\nevent: close\ndata: {\"code\":4003,\"reason\":\"over\"}\n\n"
	if out := string(d.Output()); out != want || !d.Closed() {
		t.Fatalf("%q, closed %v", out, d.Closed())
	}
}

func TestHalfClosedEventStreamEnds(t *testing.T) {
	h := streaming{newCollector()}
	r, addr := serve(t, Default(), h)
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(conn, "GET /sse HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-h.opened
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if code := <-h.closed; code != CloseAbnormal {
		t.Fatalf("the handler heard %d", code)
	}
	if out, err := io.ReadAll(conn); err != nil || !strings.HasSuffix(string(out), "\r\n\r\n") {
		t.Fatalf("%q, %v", out, err)
	}
	if s := r.Stats(); s.Streams != 0 {
		t.Fatalf("%d streams are left", s.Streams)
	}
}

// TestKernelWatchesEventStreams: nothing that a client sends shows that it is alive, so
// the kernel has to give up on one that acknowledges nothing.
func TestKernelWatchesEventStreams(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has TCP_USER_TIMEOUT")
	}
	const option = 18 // TCP_USER_TIMEOUT, which package unix names on Linux only
	cfg := Default()
	h := streaming{newCollector()}
	_, addr := serve(t, cfg, h)
	subscribe(t, addr)
	ms, err := unix.GetsockoptInt(int((<-h.opened).fd()), unix.IPPROTO_TCP, option)
	if want := 2 * cfg.PingInterval; err != nil || time.Duration(ms)*time.Millisecond != want {
		t.Fatalf("%d ms, %v, want %v", ms, err, want)
	}
}

// later decides when it is asked again.
type later struct {
	streaming
	asked int
}

func (h *later) Upgrade(*Conn, *Request) Verdict {
	h.asked++
	return Verdict{Pending: h.asked == 1, Header: "X-Asked: " + strconv.Itoa(h.asked) + "\r\n"}
}

func TestPendingEventStream(t *testing.T) {
	request := []byte("GET /sse HTTP/1.1\r\nHost: a\r\n\r\n")
	h := &later{streaming: streaming{newCollector()}}
	d, err := NewDetached(Default(), h)
	if err != nil {
		t.Fatal(err)
	}
	d.Feed(request)
	id := d.Conn().ID()
	d.Feed([]byte("ignored"))
	if out := d.Output(); len(out) > 0 || d.Closed() {
		t.Fatalf("before the verdict: %q", out)
	}
	d.Resume()
	if out := string(d.Output()); !strings.HasPrefix(out, "HTTP/1.1 200 ") || !strings.HasSuffix(out, "X-Asked: 2\r\n\r\n") || d.conn.frames != 7 {
		t.Fatalf("%q, %d bytes ignored", out, d.conn.frames)
	}
	if opened := <-h.opened; opened != id || !id.stream() {
		t.Fatalf("%x was asked about, %x opened", id, opened)
	}
}

// TestNamesOfSlotsUsedAgain: a descriptor's next connection has another name, whatever
// kind it and the one before it are.
func TestNamesOfSlotsUsedAgain(t *testing.T) {
	r := &Reactor{cfg: Default(), handler: Echo{}, table: newTable(8), started: time.Now(), max: 8}
	l := newLoop(r, 0)
	l.detached = &Detached{}
	seen := map[ConnID]bool{}
	for i, last := range []uint32{0, ^uint32(0) - 3} { // the second wraps
		for range 8 {
			c := l.adopt(int32(i))
			if c.gen == 0 || c.isStream() {
				t.Fatalf("generation %d", c.gen)
			}
			if last != 0 {
				c.gen, last = last, 0
			}
			for _, kind := range []uint32{0, genStream} {
				c.gen |= kind
				if id := c.ID(); seen[id] || l.lookup(id) != c || id.stream() != (kind != 0) {
					t.Fatalf("%x: seen before %v", id, seen[id])
				}
				seen[c.ID()] = true
			}
			l.drop(c)
			for id := range seen {
				if l.lookup(id) != nil {
					t.Fatalf("%x is found and gone", id)
				}
			}
		}
	}
}

func TestEventsAreNotForWebSockets(t *testing.T) {
	d := detached(t, Default(), Echo{})
	defer func() {
		if recover() == nil {
			t.Fatal("an event was written into a WebSocket")
		}
	}()
	d.Conn().Reply(OpEvent, []byte("data: 1\n\n"))
}

func TestRetryOfReasons(t *testing.T) {
	for reason, want := range map[string]int64{
		`{"reconnect_ms":1}`: 1, `{"reconnect_ms":5000}`: 5000, `{"reconnect_ms":2147483647}`: 2147483647,
		"": retryAfterFinal, "replaced": retryAfterFinal, `{"reconnect_ms":-5}`: retryAfterFinal, `{"reconnect_ms":99999999999}`: retryAfterFinal,
	} {
		if got := retryOf(reason); got != want {
			t.Errorf("%q: %d, want %d", reason, got, want)
		}
	}
}

func TestEventsAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	d, err := NewDetached(Default(), streaming{newCollector()})
	if err != nil {
		t.Fatal(err)
	}
	d.Feed([]byte("GET /sse HTTP/1.1\r\nHost: a\r\n\r\n"))
	d.out = make([]byte, 0, 1<<20)
	room, data := make([]byte, 0, 1<<10), []byte("{\"a\":\n1}")
	for name, f := range map[string]func(){
		"append":          func() { room = AppendEvent(room[:0], "named", data[:1], data) },
		"frame and drain": func() { sendDetached(d) },
		"timer":           func() { d.loop.fire(d.conn); d.out = d.out[:0] },
	} {
		if n := testing.AllocsPerRun(1000, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// BenchmarkEvent is a message of 100 bytes as an event.
func BenchmarkEvent(b *testing.B) {
	data, id := []byte(strings.Repeat("x", 100)), []byte("myhost.1.zz")
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendEvent(dst[:0], "", id, data)
	}
}

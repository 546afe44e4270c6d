//go:build linux

package bench

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/gobwas/ws"

	"github.com/roostpush/roost/bench/generator"
)

// fakeNode is as much of Roost as the scenarios need, in two maps and a mutex, and can
// be made to lie. A lie is told the number of the push and gives back what is sent to
// whom and what is said of it; nil is honest.
type fakeNode struct {
	push    func(n int64, to string, frame []byte) (deliveries []delivery, outcome string)
	cutAt   int64 // pushes after which the stream is cut; 0: never
	mute    int64 // pushes whose results never come, from the first one on
	refuse  func(n int64) error
	farewel func(n int64) bool // whether the connection is ended with 1001 before a relayed message is handled
	rival   *fakeNode          // a device that connects here loses its connection there
	url     string
	api     string

	mu     sync.Mutex
	online map[string]net.Conn // by account/device
	pushes int64
	opened int64
	sends  int64
}

// delivery is one frame to one device.
type delivery struct {
	to    string
	frame []byte
}

func (f *fakeNode) start(t testing.TB) *fakeNode {
	f.online = map[string]net.Conn{}
	public := httptest.NewServer(http.HandlerFunc(f.device))
	internal := httptest.NewServer(http.HandlerFunc(f.messages))
	t.Cleanup(func() {
		f.mu.Lock()
		for _, c := range f.online {
			c.Close()
		}
		f.mu.Unlock()
		public.Close()
		internal.CloseClientConnections()
		internal.Close()
	})
	f.url, f.api = "ws://"+public.Listener.Addr().String()+"/ws", internal.URL
	return f
}

// device is one connection's life.
func (f *fakeNode) device(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.opened++
	n := f.opened - 2 // the probe is -1
	f.mu.Unlock()
	if f.refuse != nil && n >= 0 {
		if err := f.refuse(n); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
	}
	account, device := r.URL.Query().Get("account"), r.URL.Query().Get("device")
	name := account + "/" + device
	// Who has the 101 is there: what is pushed from now on must not go to the connection before.
	f.mu.Lock()
	c, _, _, err := ws.UpgradeHTTP(r, w)
	if err == nil {
		f.write(c, []byte(`{"type":"hello","session":"x"}`))
		f.online[name] = c
	}
	f.mu.Unlock()
	if err != nil {
		return
	}
	if f.rival != nil {
		f.rival.displace(name)
	}
	defer func() {
		f.mu.Lock()
		if f.online[name] == c {
			delete(f.online, name)
		}
		f.mu.Unlock()
		c.Close()
	}()
	for {
		frame, err := readFrame(c)
		if err != nil {
			return
		}
		frame = ws.UnmaskFrame(frame)
		switch frame.Header.OpCode {
		case ws.OpClose:
			return
		case ws.OpPing:
			_ = ws.WriteFrame(c, ws.NewPongFrame(frame.Payload))
		case ws.OpText:
			if !f.send(c, account, device, frame.Payload) {
				// A reset would take from the device what it has not read yet.
				_ = c.(*net.TCPConn).CloseWrite()
				_, _ = io.Copy(io.Discard, c)
				return
			}
		}
	}
}

// displace ends a device's connection; its end is read by device.
func (f *fakeNode) displace(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.online[name]; c != nil {
		_ = ws.WriteFrame(c, ws.NewCloseFrame(ws.NewCloseFrameBody(4001, "")))
	}
}

func (f *fakeNode) write(c net.Conn, payload []byte) { _ = ws.WriteFrame(c, ws.NewTextFrame(payload)) }

// send relays one message; false: the connection was ended instead.
func (f *fakeNode) send(c net.Conn, account, device string, payload []byte) bool {
	var m struct {
		ID      json.RawMessage
		To      struct{ Device string }
		Payload json.RawMessage
	}
	if json.Unmarshal(payload, &m) != nil {
		return true
	}
	f.mu.Lock()
	f.sends++
	n := f.sends - 1
	f.mu.Unlock()
	if f.farewel != nil && f.farewel(n) {
		f.mu.Lock() // nothing is written behind the close and said to be so
		_ = ws.WriteFrame(c, ws.NewCloseFrame(ws.NewCloseFrameBody(1001, "")))
		if name := account + "/" + device; f.online[name] == c {
			delete(f.online, name)
		}
		f.mu.Unlock()
		return false
	}
	outcome := f.deliver(n, account+"/"+m.To.Device, fmt.Appendf(nil, `{"type":"message","id":"m","payload":%s,"from":{"device":%q},"sent_ms":1}`, m.Payload, device))
	f.mu.Lock()
	f.write(c, fmt.Appendf(nil, `{"type":"result","ref":%s,"status":%q}`, m.ID, outcome))
	f.mu.Unlock()
	return true
}

// deliver gives a frame to a device, or does what the lie says.
func (f *fakeNode) deliver(n int64, to string, frame []byte) (outcome string) {
	deliveries := []delivery{{to, frame}}
	if f.push != nil {
		deliveries, outcome = f.push(n, to, frame)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	said := "written"
	for _, d := range deliveries {
		c := f.online[d.to]
		if c == nil {
			said = "offline"
			continue
		}
		f.write(c, d.frame)
	}
	if outcome == "" {
		outcome = said
	}
	return outcome
}

// messages is POST /v1/messages as NDJSON.
func (f *fakeNode) messages(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).EnableFullDuplex()
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.WriteHeader(http.StatusOK)
	flush := http.NewResponseController(w).Flush
	_ = flush()
	lines := bufio.NewScanner(r.Body)
	for line := 1; lines.Scan(); line++ {
		var m struct {
			To struct {
				Account, Device string
				All             bool
			}
			Payload json.RawMessage
		}
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			fmt.Fprintf(w, `{"line":%d,"status":400,"error":{"code":"bad_json","detail":""}}`+"\n", line)
			continue
		}
		f.mu.Lock()
		f.pushes++
		n := f.pushes - 1
		f.mu.Unlock()
		frame := fmt.Appendf(nil, `{"type":"message","id":"m%d","payload":%s,"sent_ms":1}`, n, m.Payload)
		var answer string
		if m.To.Device != "" {
			answer = fmt.Sprintf(`"outcomes":[{"device":%q,"outcome":%q}]`, m.To.Device, f.deliver(n, m.To.Account+"/"+m.To.Device, frame))
		} else {
			answer = f.many(n, m.To.Account, frame)
		}
		if n < f.mute {
			continue
		}
		if f.cutAt > 0 && n >= f.cutAt {
			fmt.Fprintf(w, `{"error":{"code":"draining","detail":"bye","line":%d}}`+"\n", line)
			return
		}
		fmt.Fprintf(w, `{"line":%d,"status":200,"id":"m%d",%s}`+"\n", line, n, answer)
		_ = flush()
	}
}

// many gives a frame to all devices, or to those of an account.
func (f *fakeNode) many(n int64, account string, frame []byte) string {
	f.mu.Lock()
	var names []string
	for name := range f.online {
		if account == "" || bytes.HasPrefix([]byte(name), []byte(account+"/")) {
			names = append(names, name)
		}
	}
	f.mu.Unlock()
	counts := map[string]int{}
	for _, name := range names {
		counts[f.deliver(n, name, frame)]++
	}
	text, _ := json.Marshal(counts)
	return fmt.Sprintf(`"total":%d,"counts":%s`, len(names), text)
}

// against returns a scenario against the node.
func (f *fakeNode) against(t testing.TB, phases []generator.Phase) Scenario {
	t.Helper()
	s := quick(f.url, phases)
	var err error
	if s.API, err = ParseAPI(f.api); err != nil {
		t.Fatal(err)
	}
	return s
}

package api

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// said is an answer's outcomes as text.
func (a pushAnswer) said() string {
	text := ""
	for _, o := range a.Outcomes {
		text += o.Device + ":" + o.Outcome + " "
	}
	for _, outcome := range slices.Sorted(maps.Keys(a.Counts)) {
		text += fmt.Sprint(a.Counts[outcome], " ", outcome, " ")
	}
	return strings.TrimSpace(text)
}

func TestKeep(t *testing.T) {
	to := `{"to":{"account":"a","device":"%s"},"payload":1,"ttl_ms":60000%s}`
	all := `{"to":{"account":"a"},"payload":1,"ttl_ms":60000%s}`
	for _, tc := range []struct {
		name, body string
		header     string
		status     int
		want       string
		located    bool
		watched    int
	}{
		{"here", fmt.Sprintf(to, "here", ""), "", 200, "here:written", false, 0},
		{"away", fmt.Sprintf(to, "away", ""), "", 202, "away:queued", true, 0},
		{"away, wait for the ack", fmt.Sprintf(to, "away", `,"wait":"acked","timeout_ms":60000`), "", 202, "away:queued", true, 0},
		{"do not wait", fmt.Sprintf(to, "here", `,"wait":"none"`), "", 202, "", true, 0},
		{"respond-async", fmt.Sprintf(to, "here", `,"wait":"acked"`), "respond-async", 202, "", true, 0},
		{"account", fmt.Sprintf(all, ""), "", 200, "here:written stays:written", false, 0},
		{"account, not all may be known", fmt.Sprintf(all, ""), "", 200, "here:written stays:written :unreachable", false, 0},
		{"account, not all may be known, do not wait", fmt.Sprintf(all, `,"wait":"none"`), "", 202, "2 queued 1 unreachable", true, 0},
		{"account, do not wait", fmt.Sprintf(all, `,"wait":"none"`), "", 202, "", true, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := newTestNode(t, nil)
			n.connect("a", "here", takes)
			n.mailbox.lacks = strings.Contains(tc.name, "not all")
			if strings.HasPrefix(tc.name, "account") {
				n.connect("a", "stays", takes)
			}
			var header []string
			if tc.header != "" {
				header = []string{"Prefer", tc.header}
			}
			w := n.call("POST", "/v1/messages", tc.body, header...)
			a := decode[pushAnswer](t, w.Body.Bytes())
			if w.Code != tc.status || tc.want != "" && a.said() != tc.want {
				t.Errorf("%d %s, want %d %s", w.Code, w.Body, tc.status, tc.want)
			}
			if at := w.Header().Get("Location"); (at == "/v1/messages/"+a.ID) != tc.located {
				t.Errorf("Location is %q for %s", at, w.Body)
			}
			if tc.header != "" && w.Header().Get("Preference-Applied") != tc.header {
				t.Error("the preference is not said to be applied")
			}
			if none := strings.Contains(tc.body, `"none"`) || tc.header != ""; n.mailbox.posted().Brief != none {
				t.Errorf("its keeper is asked to tell of the devices: %v", none)
			}
			if got := n.mailbox.watching(); got != tc.watched {
				t.Errorf("%d messages are watched after the answer", got)
			}
		})
	}
}

// TestKeepAcked waits for the device's word, and then the message is over.
func TestKeepAcked(t *testing.T) {
	n := newTestNode(t, nil)
	dev := n.connect("a", "d", takes)
	answer := make(chan string, 1)
	go func() {
		w := n.call("POST", "/v1/messages", `{"to":{"account":"a","device":"d"},"payload":1,"ttl_ms":60000,"timeout_ms":60000,"wait":"acked"}`)
		answer <- fmt.Sprint(w.Code, decode[pushAnswer](t, w.Body.Bytes()).said())
	}()
	eventually(t, "it is sent", func() bool { return n.devices.count(dev) == 1 })
	n.mailbox.ack("d")
	if got := <-answer; got != "200d:acked" {
		t.Error(got)
	}
}

// TestKeepNotAcked is told how far it has come when its time is over.
func TestKeepNotAcked(t *testing.T) {
	n := newTestNode(t, nil)
	n.connect("a", "d", takes)
	sl, done := n.newSlot()
	n.begin(sl, new(wire.PushFrame), done, []byte(`{"to":{"account":"a","device":"d"},"payload":1,"ttl_ms":60000,"wait":"acked"}`), "", "", false, n.now())
	eventually(t, "it is written", func() bool {
		sl.mail.mu.Lock()
		defer sl.mail.mu.Unlock()
		return len(sl.mail.became) == 1 && sl.mail.became[0].outcome == session.Written
	})
	sl.expire()
	<-done
	a := n.finish(sl, false)
	if got := string(a.members); a.status != 202 || !strings.HasSuffix(got, `"outcomes":[{"device":"d","outcome":"written"}]`) || n.mailbox.watching() != 0 {
		t.Errorf("%d %s, %d watched", a.status, got, n.mailbox.watching())
	}
}

func TestKeepSaysHow(t *testing.T) {
	n := newTestNode(t, nil)
	n.call("POST", "/v1/messages", `{"to":{"account":"a","device":"d"},"text":"x","ttl_ms":60000,"priority":"high","collapse":"key","acks":"first","wait":"none"}`)
	p := n.mailbox.posted()
	if p.Account != "a" || p.Device != "d" || p.Kind != session.Text || p.ExpiresMS-p.SentMS != 60000 || p.Priority != session.PriorityHigh || p.Collapse != "key" || !p.First || string(p.Payload) != "x" {
		t.Errorf("posted %+v", p)
	}
	w := n.call("PUT", "/v1/accounts/a/devices/d/messages", "y", "TTL", "60", "Urgency", "very-low", "Topic", "key2", "Prefer", "respond-async")
	p = n.mailbox.posted()
	if w.Code != 202 || w.Header().Get("TTL") != "60" || !strings.HasPrefix(w.Header().Get("Location"), "/v1/messages/n1.7.") {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if p.Kind != session.Binary || p.ExpiresMS-p.SentMS != 60000 || p.Priority != session.PriorityLow || p.Collapse != "key2" {
		t.Errorf("put %+v", p)
	}
	w = n.call("PUT", "/v1/accounts/a/devices/d/messages", "y", "TTL", "2147483647", "Prefer", "respond-async")
	if w.Header().Get("TTL") != "2419200" || n.mailbox.posted().ExpiresMS-n.mailbox.posted().SentMS != 2419200_000 {
		t.Errorf("a TTL beyond ttl_max is %s", w.Header().Get("TTL"))
	}
}

func TestKeepRefused(t *testing.T) {
	body := `{"to":{"account":"a","device":"d"},"payload":1,"ttl_ms":60000,"timeout_ms":200,"id":"k"}`
	for _, tc := range []struct {
		name   string
		body   string
		refuse session.Outcome
		stuck  bool
		status int
		code   string
	}{
		{"full", body, session.Overloaded, false, 429, codeOverloaded},
		{"stalled", body, session.Lost, false, 503, codeNotKept},
		{"too large", body, session.TooLarge, false, 413, codePayloadTooLarge},
		{"a disk that says nothing", body, session.Pending, true, 503, codeKeepTimeout},
		{"nobody", `{"to":{"account":"nobody"},"payload":1,"ttl_ms":1}`, session.Pending, false, 404, codeDeviceUnknown},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := newTestNode(t, nil)
			n.mailbox.refuse, n.mailbox.stuck = tc.refuse, tc.stuck
			w := n.call("POST", "/v1/messages", tc.body)
			a := decode[pushAnswer](t, w.Body.Bytes())
			if w.Code != tc.status || a.Code != tc.code || a.Detail == "" {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if again := w.Header().Get("Retry-After") != ""; again != (tc.status == 429 || tc.status == 503) {
				t.Errorf("Retry-After: %v", w.Header())
			}
			// What may fare better in a moment is not repeated from memory.
			n.mailbox.refuse, n.mailbox.stuck = session.Pending, false
			if tc.stuck {
				return // TestKeepTimeoutIsRepeated
			}
			if w := n.call("POST", "/v1/messages", body); tc.status != 413 && w.Code != 202 {
				t.Errorf("again: %d %s", w.Code, w.Body)
			}
		})
	}
}

// TestKeepLateWord: the mailbox says that it has a push long after it was answered; that
// must not be taken for the word about another one.
func TestKeepLateWord(t *testing.T) {
	n := newTestNode(t, nil)
	sl, done := n.newSlot()
	sl.reset(done, n.now())
	sl.mail.ttlMS = 1
	sl.mail.close()
	if a := n.concludeKept(sl, false); a.code != codeKeepTimeout {
		t.Fatalf("%+v", a)
	}
	n.putSlot(sl)
	for range 10 {
		if other, _ := n.newSlot(); other == sl {
			t.Fatal("the slot is used again while the mailbox still has it")
		}
	}
	sl.Kept(n.router.NewID(), 1, session.Pending, "") // to nobody: settling would block on done
}

// TestKeepLateFate: a repeat is told what became of the first push by a worker of the mailbox, which
// Unwatch does not stop. What it says of an earlier push of the slot must not be looked at while the
// slot is made another's: for the race detector.
func TestKeepLateFate(t *testing.T) {
	n := newTestNode(t, nil)
	sl, done := n.newSlot()
	var late sync.WaitGroup
	for range 500 {
		n.begin(sl, new(wire.PushFrame), done, []byte(`{"to":{"account":"a","device":"d"},"payload":1,"ttl_ms":60000,"wait":"acked"}`), "", "", false, n.now())
		late.Wait()
		<-done
		a := n.finish(sl, false)
		if a.status != 202 {
			t.Fatalf("%d %s", a.status, a.members)
		}
		late.Go(func() { sl.Became(a.kept, "d", session.Acked) })
	}
	late.Wait()
}

// TestKeepTimeoutIsRepeated: whoever repeats a push of which nobody knew whether it is kept
// waits for the mailbox's word on that one, so that it is not kept twice.
func TestKeepTimeoutIsRepeated(t *testing.T) {
	for _, refused := range []session.Outcome{session.Pending, session.Overloaded} {
		n := newTestNode(t, nil)
		n.mailbox.stuck = true
		body := `{"to":{"account":"a","device":"d"},"payload":1,"ttl_ms":60000,"timeout_ms":20,"id":"k"}`
		code := func(want int) (a pushAnswer) {
			t.Helper()
			w := n.call("POST", "/v1/messages", body)
			if a = decode[pushAnswer](t, w.Body.Bytes()); w.Code != want {
				t.Errorf("%d %s, want %d", w.Code, w.Body, want)
			}
			return a
		}
		if a := code(503); a.Code != codeKeepTimeout {
			t.Errorf("the disk says nothing: %s", a.Code)
		}
		n.mailbox.stuck = false
		if a := code(409); a.Code != codeKeyInFlight {
			t.Errorf("still nobody knows: %s", a.Code)
		}
		id := n.router.NewID()
		n.mailbox.unheard.Kept(id, 1, refused, "a limit")
		if refused != session.Pending {
			if a := code(202); a.ID == id.Text() || len(n.mailbox.fates) != 1 {
				t.Errorf("that one is not kept, so this is another: %+v", a)
			}
			continue
		}
		if a := code(202); a.ID != id.Text() || a.said() != "d:queued" || len(n.mailbox.fates) != 0 {
			t.Errorf("it is kept as %s: %+v, %d others", id.Text(), a, len(n.mailbox.fates))
		}
	}
}

func TestKeepIdempotency(t *testing.T) {
	n := newTestNode(t, nil)
	body := `{"to":{"account":"a","device":"d"},"payload":1,"ttl_ms":60000,"wait":"none","id":"k"}`
	first, again := n.call("POST", "/v1/messages", body), n.call("POST", "/v1/messages", body)
	if first.Code != 202 || again.Body.String() != first.Body.String() || again.Header().Get("Location") != first.Header().Get("Location") {
		t.Errorf("%d %s, then %d %s", first.Code, first.Body, again.Code, again.Body)
	}
	if len(n.mailbox.fates) != 1 {
		t.Errorf("it is kept %d times", len(n.mailbox.fates))
	}
}

func TestMessage(t *testing.T) {
	n := newTestNode(t, nil)
	n.connect("a", "phone", takes)
	n.connect("a", "tv", takes)
	a := decode[pushAnswer](t, n.call("POST", "/v1/messages", `{"to":{"account":"a"},"payload":1,"ttl_ms":60000}`).Body.Bytes())
	n.mailbox.ack("phone")
	w := n.call("GET", "/v1/messages/"+a.ID, "")
	if got := decode[pushAnswer](t, w.Body.Bytes()); w.Code != 200 || got.ID != a.ID || !strings.Contains(got.said(), "phone:acked") || !strings.Contains(got.said(), "tv:written") || !strings.Contains(w.Body.String(), `"at_ms":1`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w = n.call("DELETE", "/v1/messages/"+a.ID, "")
	if got := decode[pushAnswer](t, w.Body.Bytes()).said(); w.Code != 200 || !strings.Contains(got, "phone:acked") || !strings.Contains(got, "tv:cancelled") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for _, id := range []string{"n1.7.zzz", "nonsense", "n1.7.", strings.Repeat("x", 500)} {
		for _, method := range []string{"GET", "DELETE"} {
			w := n.call(method, "/v1/messages/"+id, "")
			if got := decode[pushAnswer](t, w.Body.Bytes()); w.Code != 404 || got.Code != codeMessageUnknown {
				t.Errorf("%s %s: %d %s", method, id, w.Code, w.Body)
			}
		}
	}
	if w := n.call("POST", "/v1/messages/"+a.ID, ""); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD, DELETE" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

// TestKeepStream: a device that is away holds up nobody, and results stay in order.
func TestKeepStream(t *testing.T) {
	n := newTestNode(t, func(c *Config) { c.Stream.Window = 4 })
	n.connect("a", "here", takes)
	var lines, want strings.Builder
	for i := 1; i <= 100; i++ {
		device, status := "here", 200
		if i%3 == 0 {
			device, status = "away", 202
		}
		fmt.Fprintf(&lines, `{"to":{"account":"a","device":"%s"},"payload":1,"ttl_ms":60000,"timeout_ms":60000}`+"\n", device)
		fmt.Fprintf(&want, "%d:%d ", i, status)
	}
	if got := streamOnce(t, n, strings.NewReader(lines.String())); got != strings.TrimSpace(want.String()) {
		t.Errorf("got %s", got)
	}
	if got := n.mailbox.watching(); got != 0 {
		t.Errorf("%d messages are watched after the stream", got)
	}
}

// TestKeepAllocations holds the way of one kept push of a stream, from the line to the
// result, to no allocation of this package's.
func TestKeepAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	n := newTestNode(t, nil)
	n.Server.node.Keeper = instantMailbox{router: n.router}
	sl, done := n.newSlot()
	now := n.now()
	var out []byte
	for _, wait := range []string{"none", "written"} {
		line := []byte(`{"to":{"account":"a","device":"d"},"payload":{"n":1},"ttl_ms":60000,"wait":"` + wait + `"}`)
		got := testing.AllocsPerRun(1000, func() {
			n.begin(sl, new(wire.PushFrame), done, line, "", "", false, now)
			<-done
			a := n.finish(sl, false)
			if a.status >= 300 {
				t.Fatal(a)
			}
			out = a.appendLine(out[:0], 1)
		})
		if got != 0 {
			t.Errorf("wait %s: %v allocations a push", wait, got)
		}
	}
}

// TestAcksFirst takes a plain push from the account's others.
func TestAcksFirst(t *testing.T) {
	n := newTestNode(t, nil)
	n.connect("a", "quick", acks)
	tv := n.connect("a", "tv", takes)
	w := n.call("POST", "/v1/messages", `{"to":{"account":"a"},"payload":1,"wait":"acked","acks":"first","timeout_ms":60000}`)
	if a := decode[pushAnswer](t, w.Body.Bytes()); w.Code != 200 || a.said() != "quick:acked tv:cancelled" && a.said() != "tv:cancelled quick:acked" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	eventually(t, "the other one is told", func() bool {
		_, frame := n.devices.last(tv)
		return strings.Contains(frame, `"cancel"`)
	})
}

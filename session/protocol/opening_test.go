package protocol

import (
	"fmt"
	"strings"
	"testing"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
)

// home is the node that knows what is missed; it is asked, and answers later.
type home struct {
	knows  bool
	asked  []string
	answer func(int)
}

func (h *home) AskMissed(a session.Address, answer func(int)) bool {
	h.asked = append(h.asked, a.Account+"/"+a.Device)
	h.answer = answer
	return h.knows
}

// resumer is a reactor that notes whom it is to ask again.
type resumer struct {
	noReactor
	resumed int
}

func (r *resumer) Resume(netpoll.ConnID) { r.resumed++ }

const upgradeHeaders = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="

// TestGreetingWaitsForHome: the upgrade is answered once the home of the account has said
// what is missed, and its answer is in hello beside what this node keeps.
func TestGreetingWaitsForHome(t *testing.T) {
	for _, tc := range []struct {
		name, target, protocol string
		knows                  bool
		asked                  int
		hello                  string // empty: none
	}{
		{"socket", "/ws?account=a&device=b", "roost.v1", true, 1, `"missed":10}`},
		{"stream", "/sse?account=a&device=b", "", true, 1, `"missed":10}`},
		{"the home is here", "/ws?account=a&device=b", "roost.v1", false, 1, `"missed":3}`},
		{"raw", "/ws?account=a&device=b", "roost.raw", true, 0, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d, h, r := newDesk(t, Default()), &home{knows: tc.knows}, &resumer{}
			d.Parts.Elsewhere, d.Parts.Pings = h, waiting{}
			d.Attach(r)
			headers := []string{"Accept: */*"}
			if tc.protocol != "" {
				headers = append(strings.Split(upgradeHeaders, "\r\n"), "Sec-WebSocket-Protocol: "+tc.protocol)
			}
			c := d.ask(t, tc.target, headers...)
			out := string(c.Output())
			if len(h.asked) != tc.asked || tc.asked > 0 && h.asked[0] != "a/b" {
				t.Fatalf("asked of %v", h.asked)
			}
			if tc.knows && tc.asked > 0 {
				if out != "" || d.Registry.Lookup("a", "b") != nil {
					t.Fatalf("%q before the home has said anything", out)
				}
				h.answer(7)
				if r.resumed != 1 {
					t.Fatal("the gate is not asked again")
				}
				c.Resume()
				out = string(c.Output())
			}
			if tc.hello == "" == strings.Contains(out, "hello") || !strings.Contains(out, tc.hello) {
				t.Errorf("%q", out)
			}
			if len(h.asked) != tc.asked || d.Registry.Lookup("a", "b") == nil {
				t.Errorf("asked %d times", len(h.asked))
			}
		})
	}
}

// TestStreamTopics: the query's topics are subscribed to behind the greeting, or the stream
// is refused.
func TestStreamTopics(t *testing.T) {
	for query, want := range map[string]string{
		"&topics=a,b.*": "subscribe [a b.*]",
		"&topics=":      "",
		"&topics=a..b":  "400",
		"&topics=a,,b":  "400",
	} {
		d, h := newDesk(t, Default()), &heard{}
		d.Topics = h
		out := string(d.ask(t, "/sse?account=a&device=b"+query).Output())
		if want == "400" {
			if !strings.HasPrefix(out, "HTTP/1.1 400 ") || !strings.Contains(out, `"code":"topics"`) || d.Registry.Lookup("a", "b") != nil {
				t.Errorf("%s: %q", query, out)
			}
			continue
		}
		hello := strings.Index(out, "event: hello")
		if hello < 0 || want != "" && strings.Index(out, "event: error\ndata: answer") < hello || strings.Trim(fmt.Sprint(h.said), "[]") != strings.Trim(want, "[]") {
			t.Errorf("%s: %q %v", query, out, h.said)
		}
	}
	d := newDesk(t, Default())
	if out := string(d.ask(t, "/sse?account=a&device=b&topics=a").Output()); !strings.HasPrefix(out, "HTTP/1.1 400 ") {
		t.Errorf("a node without topics: %q", out)
	}
}

package protocol

import (
	"strings"
	"testing"
	"time"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
)

// presences notes who watches.
type presences struct {
	full      bool
	watching  map[*session.Session]bool
	unwatched int
}

func (p *presences) Watch(s *session.Session) bool {
	if !p.full {
		p.watching[s] = true
	}
	return !p.full
}

func (p *presences) Unwatch(s *session.Session) { delete(p.watching, s); p.unwatched++ }

type closable struct{ admitted }

func (h *closable) Closed(c *netpoll.Conn, code uint16) { h.g.Closed(c, code) }

// noJournal is for sessions nobody keeps a record of.
type noJournal struct{}

func (noJournal) Opened(*session.Session, string, string, []byte) {}
func (noJournal) Closed(*session.Session, int64, uint16)          {}

func TestSubscribePresence(t *testing.T) {
	p := &presences{watching: map[*session.Session]bool{}}
	g := &Gate{cfg: Default(), Parts: Parts{Now: time.Now, Presence: p, Registry: session.NewRegistry(), Journal: noJournal{}}}
	s := session.New("a", "b")
	g.Registry.Open(s)
	d, err := netpoll.NewDetached(netpoll.Default(), &closable{admitted{g: g, s: s}})
	if err != nil {
		t.Fatal(err)
	}
	d.Feed([]byte(request))
	d.Output()
	for _, step := range []struct {
		say, answer string
		full        bool
		watching    bool
	}{
		{`{"type":"subscribe","id":1,"presence":true}`, `{"type":"error","ref":1,"code":"overloaded"`, true, false},
		{`{"type":"subscribe","id":2,"topics":["news"]}`, `{"type":"error","ref":2,"code":"unsupported"`, false, false},
		{`{"type":"subscribe","id":3,"topics":["news"],"presence":true}`, `{"type":"error","ref":3,"code":"unsupported"`, false, false},
		{`{"type":"subscribe","id":4}`, `{"type":"error","ref":4,"code":"missing"`, false, false},
		{`{"type":"subscribe","id":5,"presence":true}`, `{"type":"result","ref":5,"status":"ok"}`, false, true},
		{`{"type":"unsubscribe","id":6,"presence":true}`, `{"type":"result","ref":6,"status":"ok"}`, false, false},
		{`{"type":"subscribe","presence":true}`, "", false, true},
	} {
		p.full = step.full
		d.Feed(say(step.say))
		if out := string(d.Output()); !strings.Contains(out, step.answer) {
			t.Errorf("%s: %q, want %s", step.say, out, step.answer)
		}
		if p.watching[s] != step.watching {
			t.Errorf("%s: watching is %v", step.say, p.watching[s])
		}
	}
	before := p.unwatched
	d.Feed([]byte{0x88, 0x80, 0, 0, 0, 0})
	d.Advance(time.Minute)
	if p.watching[s] || p.unwatched != before+1 {
		t.Errorf("after its end it is watching: %v; %d calls", p.watching[s], p.unwatched-before)
	}
}

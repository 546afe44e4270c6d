package relay_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/relay"
)

// mailbox is a fake that keeps nothing: it notes what it is given, and the test says what
// becomes of that.
type mailbox struct {
	posts     []session.Kept
	watchers  []relay.Watcher
	unwatched []session.ID
}

func (m *mailbox) Keep(k *session.Kept, w relay.Watcher) {
	kept := *k
	kept.Payload, kept.Device = slices.Clone(k.Payload), strings.Clone(k.Device)
	m.posts, m.watchers = append(m.posts, kept), append(m.watchers, w)
}

func (m *mailbox) Unwatch(id session.ID, w relay.Watcher) {
	if !slices.Contains(m.watchers, w) {
		panic("of a watcher that nobody knows")
	}
	m.unwatched = append(m.unwatched, id)
}

// event is what the mailbox says: of a device, or, without one, that it keeps the message
// for so many or has refused it.
type event struct {
	device  string
	outcome session.Outcome
	devices int
	why     string
}

func said(w relay.Watcher, e event) {
	id := session.ID{Origin: session.Origin{Node: "n", Epoch: 1}, Number: 7}
	if e.device != "" {
		w.Became(id, e.device, e.outcome)
	} else {
		w.Kept(id, e.devices, e.outcome, e.why)
	}
}

func kept(n int) event { return event{devices: n} }

func became(device string, o session.Outcome) event { return event{device: device, outcome: o} }

func TestKept(t *testing.T) {
	one, others := `"to":{"device":"tv"}`, `"to":{"devices":"others"}`
	for name, tc := range map[string]struct {
		frame  string
		events []event
		want   string
	}{
		"written":            {`"id":1,` + one, []event{kept(1), became("tv", session.Written)}, `1 {"type":"result","ref":1,"status":"written"}`},
		"away":               {`"id":1,"wait":"acked",` + one, []event{kept(1), became("tv", session.Queued)}, `1 {"type":"result","ref":1,"status":"queued"}`},
		"written, not acked": {`"id":1,"wait":"acked",` + one, []event{kept(1), became("tv", session.Written)}, ``},
		"acked": {`"id":1,"wait":"acked",` + one, []event{kept(1), became("tv", session.Written), became("tv", session.Acked)},
			`1 {"type":"result","ref":1,"status":"acked"}`},
		"full":        {`"id":1,` + one, []event{{outcome: session.Overloaded, why: "a limit"}}, `1 {"type":"error","ref":1,"code":"overloaded","detail":"a limit"}`},
		"no others":   {`"id":1,` + others, []event{{outcome: session.Offline}}, `1 {"type":"result","ref":1,"status":"offline","devices":[]}`},
		"some":        {`"id":1,` + others, []event{kept(2), became("tv", session.Written)}, ``},
		"others":      {`"id":1,` + others, []event{kept(2), became("tv", session.Written), became("raw", session.Queued)}, `1 {"type":"result","ref":1,"status":"ok","devices":[{"device":"tv","outcome":"written"},{"device":"raw","outcome":"queued"}]}`},
		"alike":       {`"id":1,` + others, []event{kept(2), became("tv", session.Queued), became("raw", session.Queued)}, `1 {"type":"result","ref":1,"status":"queued","devices":[{"device":"tv","outcome":"queued"},{"device":"raw","outcome":"queued"}]}`},
		"not all":     {`"id":1,` + others, []event{{devices: 1, why: "a node is gone"}, became("tv", session.Queued)}, `1 {"type":"result","ref":1,"status":"ok","devices":[{"device":"tv","outcome":"queued"}]}`},
		"no id":       {one, []event{kept(1), became("tv", session.Written)}, ``},
		"no id, full": {one, []event{{outcome: session.Overloaded, why: "a limit"}}, `1 {"type":"error","code":"overloaded","detail":"a limit"}`},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAccount(nil)
			a.send(t, a.phone, `{"type":"send",`+tc.frame+`,"payload":{"a":1},"ttl_ms":500}`)
			m := a.mailbox.posts[0]
			if m.Account != "alice" || m.From != "phone" || m.SentMS != 1000 || m.ExpiresMS != 1500 || string(m.Payload) != `{"a":1}` || (m.Device == "tv") == strings.Contains(tc.frame, "others") {
				t.Errorf("kept %+v", m)
			}
			for _, e := range tc.events {
				said(a.mailbox.watchers[0], e)
			}
			a.expect(t, a.phone, tc.want)
			if got := a.sockets.take(a.tv); got != "" {
				t.Errorf("a message that is kept went past the mailbox: %s", got)
			}
			pending := uint64(0)
			if tc.want == "" && strings.Contains(tc.frame, `"id"`) {
				pending = 1
			}
			if s := a.relay.Stats(); s.Pending != pending || s.Kept != 1 {
				t.Errorf("stats %+v", s)
			}
			// Nobody listens to what was answered.
			a.relay.Sweep(2000)
			if n := len(a.mailbox.unwatched); (n == 1) != (tc.events[0].outcome == session.Pending && pending == 0) {
				t.Errorf("%d are not watched any more", n)
			}
		})
	}
}

// TestKeptTimeout is answered with what is known: the message is a promise, or nobody knows
// whether it is.
func TestKeptTimeout(t *testing.T) {
	a := newAccount(nil)
	a.send(t, a.phone, `{"type":"send","id":1,"to":{"device":"tv"},"payload":1,"ttl_ms":500,"wait":"acked"}`)
	a.send(t, a.phone, `{"type":"send","id":2,"to":{"device":"tv"},"payload":1,"ttl_ms":500}`)
	a.send(t, a.phone, `{"type":"send","id":3,"to":{"device":"tv"},"payload":1,"ttl_ms":500}`)
	said(a.mailbox.watchers[0], kept(1))
	said(a.mailbox.watchers[0], became("tv", session.Written))
	said(a.mailbox.watchers[2], kept(1))
	a.relay.Sweep(5999)
	a.expect(t, a.phone, "")
	a.relay.Sweep(6000)
	a.expect(t, a.phone, `1 {"type":"result","ref":1,"status":"written"}
1 {"type":"result","ref":2,"status":"timeout"}
1 {"type":"result","ref":3,"status":"queued"}`)
	said(a.mailbox.watchers[1], kept(1)) // the disk was slow
	said(a.mailbox.watchers[1], became("tv", session.Acked))
	a.relay.Sweep(6250)
	a.expect(t, a.phone, "")
	if s := a.relay.Stats(); s.Pending != 0 || s.Expired != 3 || len(a.mailbox.unwatched) != 3 {
		t.Errorf("stats %+v, %d unwatched", s, len(a.mailbox.unwatched))
	}
}

func TestKeptPendingMax(t *testing.T) {
	a := newAccount(func(c *relay.Config) { c.PendingMax = 1 })
	for i := range 2 {
		a.send(t, a.phone, fmt.Sprintf(`{"type":"send","id":%d,"to":{"device":"tv"},"payload":1,"ttl_ms":500}`, i))
	}
	if got := a.sockets.take(a.phone); !strings.Contains(got, `"ref":1,"code":"overloaded"`) || len(a.mailbox.posts) != 1 {
		t.Errorf("got %s", got)
	}
}

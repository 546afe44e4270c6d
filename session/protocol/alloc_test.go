package protocol

import (
	"testing"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
)

// silent is a journal that notes nothing.
type silent struct{}

func (silent) Opened(*session.Session, string, string, []byte) {}
func (silent) Closed(*session.Session, int64, uint16)          {}

// emptyMail is a mailbox that has nothing.
type emptyMail struct{}

func (emptyMail) Acked(session.Address, session.ID) bool { return false }
func (emptyMail) Missed(session.Address) int             { return 0 }
func (emptyMail) Opened(session.Address, uint64)         {}

// repeated counts what a device's coming and going allocates, between the request and the
// socket.
type repeated struct {
	*Gate
	allocs float64
	s      *session.Session
}

func (h *repeated) Upgrade(c *netpoll.Conn, req *netpoll.Request) netpoll.Verdict {
	come := func() netpoll.Verdict {
		v := h.Gate.Upgrade(c, req)
		h.Gate.Open(c)
		return v
	}
	h.allocs = testing.AllocsPerRun(200, func() {
		come()
		h.Gate.Closed(c, netpoll.CloseAbnormal)
	})
	v := come()
	h.s, _ = c.Context().(*session.Session)
	for i := range req.Query {
		req.Query[i] = '#'
	}
	return v
}

// TestUpgradeAllocates holds an upgrade to what stays: the session and the string of its
// names; and these to bytes of their own, since the request is borrowed.
func TestUpgradeAllocates(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool drops items under the race detector")
	}
	d := newDesk(t, Default())
	d.Parts.Journal, d.Parts.Mail = silent{}, emptyMail{}
	h := &repeated{Gate: d.Gate}
	c, err := netpoll.NewDetached(netpoll.Default(), h)
	if err != nil {
		t.Fatal(err)
	}
	c.Feed([]byte("GET /ws?account=alice&device=tv HTTP/1.1\r\nHost: a\r\n" + upgradeHeaders + "\r\n\r\n"))
	if h.s == nil || h.s.Account != "alice" || h.s.Device != "tv" {
		t.Fatalf("%+v after its request was overwritten", h.s)
	}
	if h.allocs > 2 {
		t.Errorf("%v allocations, 2 stay", h.allocs)
	}
}

package cluster

import (
	"testing"
	"time"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/gossip"
	"github.com/roostpush/roost/session/route"
	"github.com/roostpush/roost/session/wire"
)

// TestMailAcksWaitForALink: an ack for a keeper without a link is sent when there is one,
// at most so many wait, and those of a keeper that is no member any more wait for nobody.
func TestMailAcksWaitForALink(t *testing.T) {
	h := newHomes(route.Key{}, "n1")
	n2, n3 := gossip.Member{Node: "n2", Epoch: 1}, gossip.Member{Node: "n3", Epoch: 1}
	h.update(n2, 1000)
	h.update(n3, 1000)
	m := newMail(Mailing{AcksMax: 2}, "n1", h)
	linked, sent := "", 0
	m.send = func(node string, kind wire.LinkType, _ []byte) bool {
		if kind != wire.LinkTypeMailAck || node != linked {
			return false
		}
		sent++
		return true
	}
	phone := session.Address{Account: "alice", Device: "phone"}
	ack := func(node string) bool {
		return m.Acked(phone, session.ID{Origin: session.Origin{Node: node, Epoch: 1}, Number: 7})
	}
	if ack("n9") || !ack("n2") || !ack("n3") || !ack("n3") {
		t.Error("what a member keeps is not known here, and what nobody keeps is no message")
	}
	if s := m.stats(); s.AcksHeld != 2 || s.AcksLost != 1 || s.AcksSent != 0 {
		t.Errorf("%+v", s)
	}
	h.remove(n2, gossip.Dead, 2000)
	m.tick(0)
	if s := m.stats(); s.AcksHeld != 2 {
		t.Errorf("n2 may come back: %+v", s)
	}
	if h.isMissing(2000+time.Hour.Milliseconds(), time.Minute) {
		t.Error("n2 is missing after an hour")
	}
	m.tick(0)
	if s := m.stats(); s.AcksHeld != 1 || s.AcksLost != 2 {
		t.Errorf("n2 does not come back: %+v", s)
	}
	linked = "n3"
	m.linked("n3")
	if s := m.stats(); s.AcksHeld != 0 || s.AcksSent != 1 || sent != 1 {
		t.Errorf("n3 has a link: %+v, %d sent", s, sent)
	}
}

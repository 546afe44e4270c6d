package mailbox

import (
	"maps"
	"slices"
	"strings"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// Acks, of devices of this node on their way to who keeps the message, and of others'. They run
// on event loops and links' readers.

// Acked notes that a device of this node has a message; false: it is none that is kept for
// it. Of a message that another node keeps that is not known here, and it is true.
func (m *Homes) Acked(a session.Address, id session.ID) bool { return m.acknowledge(a, id, false) }

// AckedThrough is Acked of the message that the client of an event stream has received last;
// see Mailbox's AckedThrough. Only the node that the id names is told: what others keep of
// that stream is sent once more.
func (m *Homes) AckedThrough(a session.Address, id session.ID) bool {
	return m.acknowledge(a, id, true)
}

func (m *Homes) acknowledge(a session.Address, id session.ID, through bool) bool {
	keeper := m.strays.keeper(id) // mostly none: it is that of the id
	ack := wire.MailAck{ID: id, Account: a.Account, Device: a.Device, Through: through}
	if keeper != "" && keeper != m.ports.Self {
		m.passOn(keeper, &ack)
	}
	if id.Node == m.ports.Self {
		if through && m.box.AckedThrough(a, id) || !through && m.box.Acked(a, id) {
			return true
		}
		return m.ackedAfter(&ack) || keeper != ""
	}
	here := m.box.foreign.Load() && m.endHere(a, id, session.Acked)
	if !m.ports.Members.Knows(id.Node) {
		return here || keeper != ""
	}
	m.note(session.Event{ID: id, Step: session.StepAckedHere, Device: a.Device, Peer: id.Node})
	m.passOn(id.Node, &ack)
	return true
}

// passOn sends an ack, which is borrowed, to who keeps its message, or holds it until there is a
// link that has room.
func (m *Homes) passOn(node string, a *wire.MailAck) {
	var room [512]byte
	if m.ports.Links.Send(node, wire.LinkTypeMailAck, wire.AppendMailAck(room[:0], a)) {
		m.count.acksSent.Add(1)
		return
	}
	if !ruleHold {
		return
	}
	// All may have been borrowed from a frame.
	held := *a
	for _, s := range [...]*string{&held.ID.Node, &held.Account, &held.Device} {
		*s = strings.Clone(*s)
	}
	node = strings.Clone(node)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held >= m.cfg.AcksMax {
		m.count.acksLost.Add(1) // the device gets the message once more
		return
	}
	m.held++
	m.acks[node] = append(m.acks[node], held)
}

// ackedAfter passes on an ack, of a message with this node's name in its id, that is not here
// and may have been handed over, by an earlier process or by this one as it leaves.
func (m *Homes) ackedAfter(a *wire.MailAck) bool {
	if m.box.ofThisRun(a.ID) && !m.departure.leaving.Load() {
		return false
	}
	return m.ackedAtHome(a)
}

// ackedAtHome gives an ack to the home of its account, which is who got what was handed over if
// the members have not changed since; false: it is for nobody.
func (m *Homes) ackedAtHome(a *wire.MailAck) bool {
	home := m.ports.Members.Home(a.Account)
	if home == m.ports.Self {
		return m.endHere(session.Address{Account: a.Account, Device: a.Device}, a.ID, session.Acked)
	}
	m.passOn(home, a)
	return true
}

// AckedElsewhere is an ack that a device gave to another node, which is borrowed.
func (m *Homes) AckedElsewhere(a *wire.MailAck) {
	m.count.acksReceived.Add(1)
	who, ended := session.Address{Account: a.Account, Device: a.Device}, false
	switch {
	case a.Withdrawn:
		m.endHere(who, a.ID, session.Cancelled)
		return
	case m.arrivals.endEarly(who, a.ID, session.Acked):
		return
	case a.Through:
		ended = m.box.AckedThrough(who, a.ID)
	default:
		ended = m.box.Acked(who, a.ID)
	}
	if !ended && (a.ID.Node == m.ports.Self || m.departure.leaving.Load()) {
		m.ackedAfter(a)
	}
}

// Linked sends what waited for a link, and offers that node the keys that it is the home of.
func (m *Homes) Linked(node string) {
	m.filing.due(true)
	m.settling.linked(node)
	m.sendHeld(node)
}

// sendHeld sends the acks that are held for a node.
func (m *Homes) sendHeld(node string) {
	m.mu.Lock()
	list := m.acks[node]
	delete(m.acks, node)
	m.held -= len(list)
	m.mu.Unlock()
	for i := range list {
		m.passOn(node, &list[i])
	}
}

// takeStranded takes out the acks for nodes that are no members any more.
func (m *Homes) takeStranded() (list []wire.MailAck) {
	for _, node := range m.keepersOfAcks() {
		if !m.ports.Members.Knows(node) {
			m.mu.Lock()
			list = append(list, m.acks[node]...)
			m.held -= len(m.acks[node])
			delete(m.acks, node)
			m.mu.Unlock()
		}
	}
	return list
}

// keepersOfAcks names the nodes for which acks are held.
func (m *Homes) keepersOfAcks() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held == 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(m.acks))
}

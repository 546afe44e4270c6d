package cluster

import (
	"context"
	"encoding/binary"
	"log/slog"
	"sync"
	"time"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/gossip"
	"github.com/roostpush/roost/session/peer"
	"github.com/roostpush/roost/session/wire"
)

// links is the links, as the logs see them (replica.Links).
type links struct{ c *Cluster }

// holdsTimeout is how long a node may take to say whether it holds a device; the replica
// asks again by itself.
const holdsTimeout = 5 * time.Second

func (l links) Send(node string, message any) bool {
	c := l.c
	switch m := message.(type) {
	case *wire.Question:
		c.askHolds(node, m)
		return true
	case *wire.Answer:
		return c.asked.answer(node, m)
	}
	if d, ok := message.(*wire.Delta); ok && d.Author == c.self {
		return c.push.send(c.pool, node, d)
	}
	b := c.buffers.Get().(*[]byte)
	defer c.buffers.Put(b)
	var t wire.LinkType
	switch m := message.(type) {
	case *wire.Delta:
		t, *b = wire.LinkTypeDelta, wire.AppendDelta((*b)[:0], m)
	case *wire.Heads:
		t, *b = wire.LinkTypeHeads, wire.AppendHeads((*b)[:0], m)
	case *wire.LogRequest:
		t, *b = wire.LinkTypeLogRequest, wire.AppendLogRequest((*b)[:0], m)
	case *wire.SnapshotChunk:
		t, *b = wire.LinkTypeSnapshot, wire.AppendSnapshotChunk((*b)[:0], m)
	default:
		panic("cluster: the log sends what no link carries")
	}
	return c.pool.Control(node, t, *b)
}

// push keeps the last delta of the own log as bytes: it goes to every node, on the event
// loop of whatever was opened or closed, and is encoded once.
type push struct {
	mu    sync.Mutex
	first uint64
	count int
	body  []byte
}

// send queues a delta for a node. A log does not change: a delta is known by where it
// begins and how long it is.
func (p *push) send(pool *peer.Pool, node string, d *wire.Delta) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.first != d.First || p.count != len(d.Changes) {
		p.first, p.count, p.body = d.First, len(d.Changes), wire.AppendDelta(p.body[:0], d)
	}
	return pool.Control(node, wire.LinkTypeDelta, p.body)
}

func (l links) Peers(dst []string) []string {
	for _, s := range l.c.pool.Links() {
		dst = append(dst, s.To.Node)
	}
	return dst
}

// askHolds asks a node whether it still holds a device. The hashes travel beside the
// names, since the asked one must answer about exactly those.
func (c *Cluster) askHolds(node string, q *wire.Question) {
	body := binary.BigEndian.AppendUint64(nil, q.Address)
	body = binary.BigEndian.AppendUint64(body, q.Account)
	a := wire.Answer{Address: q.Address, Version: q.Version}
	ask := wire.LinkQuestion{Kind: wire.QuestionHolds, Account: q.Name.Account, Device: q.Name.Device, Version: q.Version, Body: body}
	c.pool.Ask(node, &ask, holdsTimeout, func(l *wire.LinkAnswer, err error) {
		if err != nil || l.Error != "" || len(l.Body) != 1 || l.Body[0] >= wire.HoldingCount {
			return // it is asked again
		}
		a.Holding = wire.Holding(l.Body[0])
		c.receive(node, &a)
	})
}

// asked keeps the way back for questions that the replica is answering.
type asked struct {
	mu      sync.Mutex
	replies map[askedKey]peer.AnswerReply
}

type askedKey struct {
	node             string
	address, version uint64
}

// takeHolds gives a question to the replica, which answers it before it returns.
func (c *Cluster) takeHolds(from string, q *wire.LinkQuestion, reply peer.AnswerReply) {
	if len(q.Body) != 16 {
		reply.Answer(&wire.LinkAnswer{Error: "the question has no hashes"})
		return
	}
	m := wire.Question{
		Address: binary.BigEndian.Uint64(q.Body), Account: binary.BigEndian.Uint64(q.Body[8:]),
		Version: q.Version, Name: session.Address{Account: q.Account, Device: q.Device},
	}
	key := askedKey{from, m.Address, m.Version}
	a := &c.asked
	a.mu.Lock()
	a.replies[key] = reply
	a.mu.Unlock()
	c.receive(from, &m)
	a.mu.Lock()
	delete(a.replies, key)
	a.mu.Unlock()
}

func (a *asked) answer(node string, m *wire.Answer) bool {
	key := askedKey{node, m.Address, m.Version}
	a.mu.Lock()
	reply, ok := a.replies[key]
	delete(a.replies, key)
	a.mu.Unlock()
	if ok {
		reply.Answer(&wire.LinkAnswer{Held: m.Holding == wire.HoldsIt, Version: m.Version, Body: []byte{byte(m.Holding)}})
	}
	return ok
}

// receive gives the replica what came over a link.
func (c *Cluster) receive(from string, message any) {
	if err := c.replica.Receive(from, message, c.nowMS()); err != nil {
		c.log.Warn("a node sends nonsense about sessions", "node", from, "error", err)
	}
}

// incoming is what arrives over links: peer.Messages, Log, Questions and Links.
type incoming struct{ c *Cluster }

// reply takes outcomes back over a link; kept, since an interface of peer.Reply itself
// would cost memory for each message.
type reply struct {
	peer.Reply
	c *Cluster
}

func (r *reply) Outcomes(o *wire.Outcomes) {
	r.Reply.Outcomes(o)
	c := r.c
	*r = reply{}
	c.replies.Put(r)
}

func (i incoming) Forwarded(from session.Origin, f *wire.Forward, way peer.Reply) {
	if f.Ack && f.Origin.Node != "" {
		i.c.mail.Sent(from.Node, session.ID{Origin: f.Origin, Number: f.ID}) // whom its ack is for
	}
	r := i.c.replies.Get().(*reply)
	r.Reply, r.c = way, i.c
	i.c.node.Router.Take(from, f, r, i.c.settings.SteadyMS())
}

func (i incoming) Delta(from session.Origin, d *wire.Delta)           { i.c.receive(from.Node, d) }
func (i incoming) Heads(from session.Origin, h *wire.Heads)           { i.c.receive(from.Node, h) }
func (i incoming) LogRequest(from session.Origin, q *wire.LogRequest) { i.c.receive(from.Node, q) }
func (i incoming) SnapshotChunk(from session.Origin, s *wire.SnapshotChunk) {
	i.c.receive(from.Node, s)
}

func (i incoming) Asked(from session.Origin, q *wire.LinkQuestion, way peer.AnswerReply) {
	if q.Kind == wire.QuestionHolds {
		i.c.takeHolds(from.Node, q, way)
		return
	}
	if q.Kind == wire.QuestionConnected {
		i.c.answerConnected(q, way)
		return
	}
	if q.Kind == wire.QuestionHandedOver {
		i.c.homes.handedOver(from)
		way.Answer(&wire.LinkAnswer{})
		return
	}
	i.c.answer(q, way)
}

// Keep takes facts whose home this node is. They are acknowledged once they are on disk.
func (i incoming) Keep(from session.Origin, k *wire.Keep) {
	c := i.c
	kept, elsewhere := c.keeper.Take(from.Node, k)
	c.lists.changedFacts(c.settings.Key, k.Facts)
	if elsewhere {
		c.handing.due() // the two nodes do not see the same members yet
	}
	if k.Lost {
		c.auditor.Add(from)
	}
	if len(k.Facts) == 0 {
		return
	}
	a := wire.Kept{Ref: k.Ref, Refused: !kept}
	answer := func() { c.pool.Control(from.Node, wire.LinkTypeKept, wire.AppendKept(nil, &a)) }
	if kept {
		c.node.Store.Committed(answer)
		return
	}
	answer()
}

// Kept hears what became of facts that were sent to their home.
func (i incoming) Kept(from session.Origin, a *wire.Kept) { i.c.keeper.Kept(from.Node, a) }

// Mail takes a message that this node is to keep, Mailed what became of one that it sent.
func (i incoming) Mail(from session.Origin, m *wire.Mail)      { i.c.mail.Take(from.Node, m) }
func (i incoming) Mailed(_ session.Origin, m *wire.Mailed)     { i.c.mail.Mailed(m) }
func (i incoming) MailFate(_ session.Origin, f *wire.MailFate) { i.c.mail.Fate(f) }
func (i incoming) MailAck(_ session.Origin, a *wire.MailAck)   { i.c.mail.AckedElsewhere(a) }

// MailMove takes a message of a node that leaves, MailMoved what became of one that this node
// sent because it does.
func (i incoming) MailMove(from session.Origin, m *wire.MailMove) { i.c.mail.TakeMove(from.Node, m) }
func (i incoming) MailMoved(_ session.Origin, m *wire.MailMoved)  { i.c.mail.Moved(m) }
func (i incoming) MailUnwatch(from session.Origin, u *wire.MailUnwatch) {
	i.c.mail.Unwatched(from.Node, u)
}

func (i incoming) MailKeys(from session.Origin, k *wire.MailKeys) { i.c.mail.TakeKeys(from.Node, k) }
func (i incoming) MailFiled(_ session.Origin, f *wire.MailFiled)  { i.c.mail.Filed(f) }
func (i incoming) MailSettled(from session.Origin, s *wire.MailSettled) {
	i.c.mail.Settled(from.Node, s)
}

// TopicMove takes what a node that leaves has of a topic, TopicMoved what became of what this
// node sent because it does.
func (i incoming) TopicMove(from session.Origin, m *wire.TopicMove) {
	i.c.node.Topics.TakeMove(from.Node, m)
}
func (i incoming) TopicMoved(_ session.Origin, m *wire.TopicMoved) { i.c.node.Topics.Moved(m) }

func (i incoming) Up(to session.Origin) {
	i.c.log.Info("link up", "node", to.Node, "epoch", to.Epoch)
	i.c.keeper.Linked(to.Node, i.c.pool.Speaks(to.Node, wire.LinkTypeKeep))
	i.c.handing.again()
	i.c.mail.Linked(to.Node)
	if i.c.pool.Speaks(to.Node, wire.LinkTypeInterest) {
		i.c.telling.linked(to.Node)
	}
	i.c.replica.Linked(to.Node, i.c.nowMS())
}

func (i incoming) Down(to session.Origin, why wire.GoodbyeReason) {
	i.c.log.Info("link down", "node", to.Node, "epoch", to.Epoch, "reason", why.String())
	i.c.replica.Unlinked(to.Node)
	i.c.keeper.Linked(to.Node, false)
	i.c.mail.Unlinked(to.Node)
	i.c.telling.unlinked(to.Node)
	i.c.node.Topics.Unlinked(to.Node)
	if m, ok := i.c.doubted.take(to); ok {
		i.c.forget(m, gossip.Dead) // both say so now
		return
	}
	switch why {
	case wire.GoodbyeLost, wire.GoodbyeSilent, wire.GoodbyeStalled:
		select {
		case <-i.c.ready:
			i.c.gossip.Suspect(to.Node)
		default:
		}
	}
}

// Room has the log's next tick send by itself, and interest be told now.
func (i incoming) Room(to session.Origin) { i.c.telling.ring() }

func (i incoming) Interested(from session.Origin, s *wire.Interest) {
	i.c.node.Topics.Interested(from.Node, s)
}

// members is who is a member (gossip.Events).
type members struct{ c *Cluster }

func (m members) Joined(member gossip.Member) {
	m.c.doubted.clear(member.Node)
	m.c.log.Info("node joined", "node", member.Node, "epoch", member.Epoch, "links", member.PeerAddr, "state", member.State.String())
	m.c.replica.Joined(member.Origin(), m.c.nowMS())
	m.c.memberIs(member)
	m.link(member)
}

func (m members) Changed(member gossip.Member) {
	m.c.log.Info("node changed", "node", member.Node, "epoch", member.Epoch, "state", member.State.String())
	m.c.memberIs(member)
	m.link(member)
}

func (m members) link(member gossip.Member) {
	select {
	case <-m.c.ended:
		return // this node leaves
	default:
	}
	if err := m.c.pool.Member(member.Node, member.PeerAddr, member.Epoch); err != nil {
		m.c.log.Error("a member cannot be linked", "node", member.Node, "error", err)
	}
}

func (m members) Left(member gossip.Member, why gossip.Reason) {
	c := m.c
	if why != gossip.Dead || !c.isLinkedTo(member.Origin()) {
		c.forget(member, why)
		return
	}
	c.doubted.put(member)
	c.log.Warn("node is dead, say its probes; its link still speaks, so it is kept until that ends", "node", member.Node, "epoch", member.Epoch)
	if !c.isLinkedTo(member.Origin()) { // it went down meanwhile, and may have found nobody to forget
		if member, ok := c.doubted.take(member.Origin()); ok {
			c.forget(member, why)
		}
	}
}

// forget drops a node with its link and its sessions.
func (c *Cluster) forget(member gossip.Member, why gossip.Reason) {
	level := slog.LevelInfo
	if why == gossip.Dead {
		level = slog.LevelWarn
	}
	c.log.Log(context.Background(), level, "node left", "node", member.Node, "epoch", member.Epoch, "reason", why.String())
	c.pool.Drop(member.Node, member.Epoch)
	c.replica.Left(member.Origin())
	c.memberGone(member, why)
	c.muchChanged(false)
}

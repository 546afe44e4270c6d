package gossip

import (
	"errors"
	"log/slog"
	"net"

	"github.com/hashicorp/memberlist"

	"github.com/roostpush/roost/session"
)

// greeter says and hears hellos, and logs who was refused and by whom.
type greeter struct {
	cluster string
	self    session.Origin // epoch 0: not decided yet
	addr    string         // our gossip address; empty: nobody can call
	ring    *memberlist.Keyring
	knows   knowledge // nil: nobody calls
	log     *slog.Logger
	count   *counters
	repeat  *repeats
}

// knowledge is what a node says to who calls.
type knowledge interface {
	// of returns what is known of a node: the highest epoch, and the gossip address of
	// its live member.
	of(node string) (epoch uint64, holder string)
	// goodbye notes that a process is about to leave.
	goodbye(session.Origin)
	// overtake hears of the highest epoch that somebody knows of this node.
	overtake(epoch uint64, by string)
	// condition says whether this node has yet to announce itself, and whether it leaves.
	condition() (starting, leaving bool)
}

func (g *greeter) box() box {
	if g.ring == nil {
		return box{}
	}
	return box{keys: g.ring.GetKeys()}
}

// ask says hello on a connection to addr and returns the answer; the deadline is the
// connection's. A refusal is logged here and returned as a *RefusedError.
func (g *greeter) ask(conn net.Conn, addr string, why purpose) (answer, error) {
	b, nonce := g.box(), newNonce()
	q := question{cluster: g.cluster, nonce: nonce, purpose: why, from: g.self, addr: g.addr}
	if _, err := conn.Write(b.appendQuestion(nil, q)); err != nil {
		return answer{}, err
	}
	body, err := readFrame(conn)
	if err != nil {
		return answer{}, err
	}
	a, err := b.parseAnswer(body, nonce)
	var refused *RefusedError
	if errors.As(err, &refused) {
		refused.Addr = addr
		g.count.refused[refused.Why].Add(1)
		if g.repeat.due("refused by " + addr + refused.Why.String()) {
			g.log.Error("this node is refused by another", "addr", addr, "node", refused.Node, "why", refused.Why.String(), "detail", refused.Detail)
		}
		a.known = refused.Known
	}
	if g.knows != nil && a.known > g.self.Epoch {
		g.knows.overtake(a.known, a.holder)
	}
	return a, err
}

// hear takes the hello of a caller, answers it, and returns what the caller wants. A
// caller that is refused is told why, and it is logged.
func (g *greeter) hear(conn net.Conn) (purpose, error) {
	body, err := readFrame(conn)
	if err != nil {
		return 0, err
	}
	b := g.box()
	q, err := b.parseQuestion(body, g.cluster)
	var known uint64
	var holder string
	if err == nil {
		known, holder = g.knows.of(q.from.Node)
		if q.purpose != purposeAsk && q.from.Epoch < known {
			stale := &StaleError{Epoch: q.from.Epoch, Known: known}
			err = &RefusedError{Why: RefusedEpoch, Known: known, Detail: stale.Error()[len("gossip: "):]}
		}
	}
	var refused *RefusedError
	if errors.As(err, &refused) {
		g.refuse(conn, q, refused)
	}
	if err != nil {
		return 0, err
	}
	if q.purpose == purposeGoodbye {
		g.knows.goodbye(q.from)
	}
	a := answer{nonce: q.nonce, who: g.self, known: known, holder: holder}
	a.starting, a.leaving = g.knows.condition()
	_, err = conn.Write(b.appendWelcome(nil, a))
	return q.purpose, err
}

func (g *greeter) refuse(conn net.Conn, q question, refused *RefusedError) {
	refused.Addr = conn.RemoteAddr().String()
	g.count.refused[refused.Why].Add(1)
	_, _ = conn.Write(appendRefusal(nil, g.self.Node, refused)) // whoever hung up will not read it
	host, _, _ := net.SplitHostPort(refused.Addr)
	if g.repeat.due("refused " + host + q.from.Node + refused.Why.String()) {
		g.log.Warn("another node is refused", "addr", refused.Addr, "node", q.from.Node, "why", refused.Why.String(), "detail", refused.Detail)
	}
}

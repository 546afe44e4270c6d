package peer

import (
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// The handlers are called by the readers of links, in the order of what arrives on
// one connection, and for different connections at the same time. They must not
// block. What they are handed is borrowed, except the strings of an Origin.

// Handlers are whoever is behind the links. All but Known, Interests and Topics must be there.
type Handlers struct {
	Messages  Messages
	Log       Log
	Questions Questions
	Keeps     Keeps
	Mails     Mails
	Links     Links
	Interests Interests              // nil: nobody here publishes to topics
	Topics    Topics                 // nil: nobody here keeps what was published
	Known     func(node string) bool // may that node link? nil: everybody may
}

// Messages takes the messages of other nodes. They are for this node's own devices and
// are never forwarded again (DESIGN.md decision 5). The reply may be used at once or
// later, by any goroutine.
type Messages interface {
	Forwarded(from session.Origin, f *wire.Forward, reply Reply)
}

// Log takes what keeps the tables alike; package replica is behind it.
type Log interface {
	Delta(from session.Origin, d *wire.Delta)
	Heads(from session.Origin, h *wire.Heads)
	LogRequest(from session.Origin, q *wire.LogRequest)
	SnapshotChunk(from session.Origin, s *wire.SnapshotChunk)
}

// Keeps takes the facts that this node is to keep, and hears that others have kept what
// it sent them.
type Keeps interface {
	Keep(from session.Origin, k *wire.Keep)
	Kept(from session.Origin, k *wire.Kept)
}

// Mails takes the messages that this node is to keep for devices, hears what other nodes
// say of those it gave them, and of devices that have theirs. What it is handed is borrowed,
// but for the strings of an Origin.
type Mails interface {
	Mail(from session.Origin, m *wire.Mail)
	Mailed(from session.Origin, m *wire.Mailed)
	MailFate(from session.Origin, f *wire.MailFate)
	MailAck(from session.Origin, a *wire.MailAck)
	MailMove(from session.Origin, m *wire.MailMove)
	MailMoved(from session.Origin, m *wire.MailMoved)
	MailUnwatch(from session.Origin, u *wire.MailUnwatch)
	MailKeys(from session.Origin, k *wire.MailKeys)
	MailFiled(from session.Origin, f *wire.MailFiled)
	MailSettled(from session.Origin, s *wire.MailSettled)
}

// Interests hears in which topics another node has subscribers.
type Interests interface {
	Interested(from session.Origin, i *wire.Interest)
}

// Topics takes the windows of topics that nodes which leave hand over, and hears what became
// of those that this node did. What it is handed is borrowed, but for the strings of an Origin.
type Topics interface {
	TopicMove(from session.Origin, m *wire.TopicMove)
	TopicMoved(from session.Origin, m *wire.TopicMoved)
}

// Questions answers other nodes, at once or later, from any goroutine.
type Questions interface {
	Asked(from session.Origin, q *wire.LinkQuestion, reply AnswerReply)
}

// Links hears of links: of one node Up and Down in turns, Up before anything that
// arrives over the link and Down after all of it.
type Links interface {
	Up(to session.Origin)
	// Down says why. GoodbyeLost, GoodbyeSilent and GoodbyeStalled are hints that the
	// node may be dead; the other reasons were given by one of the two.
	Down(to session.Origin, why wire.GoodbyeReason)
	// Room says that Control, which had refused a frame, has room again.
	Room(to session.Origin)
}

// Receipt hears what becomes of a message that was sent: Answered any number of
// times, of which the last has Final set, or Failed instead of that last one. It may
// be called before Send returns, and must not block.
type Receipt interface {
	// Answered hands on what the other node says; it is borrowed.
	Answered(tag uint64, o *wire.Outcomes)
	// Failed says that no answer came, or will: Unreachable, Overloaded, TooLarge and
	// Offline mean that the message was not sent; Lost and Timeout that nobody knows.
	Failed(tag uint64, o session.Outcome)
}

package deliver

import "github.com/roostpush/roost/session"

// Topics knows who has subscribed to what. Any goroutine may call any method; none
// blocks.
type Topics interface {
	// Publish keeps a message to m.Topic for those who ask for it later, and appends the
	// sessions of this node that are to have it now. from and m are borrowed.
	Publish(dst []*session.Session, from session.Origin, m *session.Message) []*session.Session
	// AppendNodes appends the other nodes that are to have it.
	AppendNodes(dst []string, topic string) []string
}

// AttachTopics gives the router those who have subscribed. Call it once, before the first
// message; without it nobody has.
func (r *Router) AttachTopics(t Topics) { r.topics = t }

type noTopics struct{}

func (noTopics) Publish(dst []*session.Session, _ session.Origin, _ *session.Message) []*session.Session {
	return dst
}
func (noTopics) AppendNodes(dst []string, _ string) []string { return dst }

// isBroadcast says that the addressees are no devices that the caller named: their outcomes
// are counted, not listed. A topic's subscriber that connects again subscribes again, and
// is not looked for.
func (t *To) isBroadcast() bool { return t.All || t.Topic != "" }

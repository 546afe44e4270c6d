// Package trace remembers where messages were and when: the last events of this node, in
// a ring of fixed size (DESIGN.md, "session/trace").
//
// It knows no socket, no disk and no other node; the clock is passed in. Whoever moves
// messages (package deliver, package mailbox, the cluster) notes events through a port of
// its own, of which a Ring is one; package api asks for the events of one message and
// puts together what several nodes know.
//
// It promises nothing: an event is gone when the ring has come around or the node has ended.
//
// Start reading at ring.go.
package trace

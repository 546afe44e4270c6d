package disruption

import "time"

// What is true of a push is decided by what its device and the conductor know, never by
// what a node says. A device knows its sessions: from the frame hello until the end of
// the socket, whoever ended it. The conductor knows which nodes it killed, stopped and
// cut from each other, and when. A push lasts from before its request is written until
// its answer is read; it is judged Grace later, because a node may have ended a session
// a moment before the device hears of it. It is of the class
//
//   - Reachable: its device had one session, the same one from Known before the push until
//     it was judged, and the node where the push entered and the node of that session
//     were joined all that time. It must be written, and arrive.
//   - Apart: the same, but those nodes were parted all that time. It cannot be written.
//   - Away: its device had no session from Gone before the push until it was judged. It
//     cannot be written.
//   - Moving: everything else: sessions came or went, or were two, or ways between nodes
//     changed. Any outcome may be right, as long as it does not lie.
//
// Known is how long all nodes may take to learn of a session: 200 ms, the limit under a
// storm. Gone is how long the node of a device that hung up may take to notice: the kernel
// takes bytes for it until then, and written means no more. Of every class: a push that a node has taken gets exactly one outcome, unless
// that node is killed meanwhile; no message arrives at another device, or twice, or at
// all when its outcome says that it did not get to the device.
//
// A node has taken a push when its process accepted the connection. From outside one case
// looks like another: a connection that was new and is reset without a byte of an answer,
// by a node that leaves, waited in the kernel's queue when the listener was closed. Such
// pushes are made again elsewhere, and counted (Reset), unless the message arrives after
// all: then it was taken.

// Class is what was true of a push.
type Class string

// The classes.
const (
	Reachable Class = "reachable"
	Apart     Class = "apart"
	Away      Class = "away"
	Moving    Class = "moving"
)

var classes = []Class{Reachable, Apart, Away, Moving}

// Times of judging.
const (
	knownDefault   = 200 * time.Millisecond
	arrivalDefault = 5 * time.Second        // from the judgement until a message that was written must have arrived
	gone           = 3 * time.Second        // a node that is short of CPU has much to read
	grace          = 500 * time.Millisecond // from the answer to the judgement
)

// view is what a device and the world look like at one moment.
type view struct {
	session *session // the newest; nil: none
	others  int      // that are open besides it
	dialing int      // that are being opened
	changes uint64   // of the device's sessions so far
	sinceNS int64    // of the last one
	way     Way      // between the entry and the session's node
}

// classify says what was true of a push by what was seen at its beginning and when it is
// judged.
func classify(begin, end view, atNS int64, known time.Duration) Class {
	switch {
	case begin.changes != end.changes, atNS-begin.sinceNS < int64(known), begin.others > 0, begin.dialing > 0:
		return Moving
	case begin.session == nil && atNS-begin.sinceNS < int64(gone):
		return Moving
	case begin.session == nil:
		return Away
	case begin.way != end.way, begin.way.Relation == Unsettled:
		return Moving
	case begin.way.Relation == Joined:
		return Reachable
	}
	return Apart
}

// denies says that an outcome claims that the message did not get to the device.
// "lost" and "timeout" say that nobody knows.
func denies(outcome string) bool {
	switch outcome {
	case "offline", "unreachable", "misrouted", "overloaded", "expired", "forbidden", "too_large":
		return true
	}
	return false
}

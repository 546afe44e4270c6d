// Package gossip says who is a member of the cluster, in which state, and who is
// dead. It is the adapter to memberlist (SWIM with the Lifeguard extensions) and the
// only package that knows it; what it spreads is id, epoch, addresses and state, and
// nothing else (DESIGN.md decision 3: sessions travel over links).
//
// How a node becomes a member:
//
//  1. Inquire asks the discovery addresses what they know of this node's id: the
//     highest epoch, and whether a process with that id still answers;
//  2. the caller takes max(persisted, that) + 1 as its epoch and calls Start, which asks
//     again, refuses to be the second with one id, and announces the node;
//  3. Events are told who joins, changes and goes, in order, from one goroutine.
//
// To memberlist a process is "node#epoch": a restart is a new member, so that nothing
// has to wait until the old one is believed dead; of one id only the highest epoch is
// ever reported, and the older one leaves in the same step (roster.go).
//
// Every TCP stream begins with a hello of our own (hello.go), which carries cluster,
// version, node and epoch and is answered: whoever is refused is told why, and both
// sides log it. Packets carry the cluster's name as memberlist's label.
//
// memberlist never looks back at whom it lost: rejoin.go asks all discovery addresses
// and everybody ever seen again, for ever, with backoff. A link that was reset is a hint
// (suspect.go): the process is asked at once, and is gone when its host says that nobody
// listens.
//
// The package never blocks memberlist's callbacks and keeps nothing on disk. cmd/roost
// starts it; the table, the links and the homes hear of members through it.
//
// Start reading at gossip.go, then roster.go.
package gossip

// Package replica keeps this node's table equal to the union of all nodes' logs
// (DESIGN.md decision 3). It is the state machine alone: messages come in through
// Receive, go out through Links, time comes in as nowMS, and what must happen to a
// session is told to its Owner. It never opens a socket, reads a clock, starts a
// goroutine, or blocks.
//
// # What happens to a device that connects
//
//  1. Opened takes a version above everything the table has for the address, puts it
//     into the node's own set and appends it to the log (own.go).
//  2. The change is pushed to every linked node: a lone one at once, those that follow
//     within BatchMS together (push.go).
//  3. There it is applied, if it is the next of that author (delta.go). A gap asks the
//     author for the rest (ask.go), which it answers from its log or by a snapshot
//     (transfer.go); a snapshot is loaded beside the old set and swapped in (load.go).
//  4. A node that sees one of its own live sessions beaten asks the author by the
//     device's name (contest.go): held there, its own session is displaced; not held,
//     it opens its own again with a higher version.
//
// Membership comes from gossip: Joined, Left. Only members' logs are followed, and
// each by its epoch: a newer one ends the older, an older one is ignored. An author
// that left loses its set in one operation and goes back to state none, so that the
// same epoch is pulled again when it returns.
//
// # Why the parts are as they are
//
//   - Two mutexes. Opened and Closed run on event loops and take only that of the own
//     log; applying a snapshot chunk, which may take a millisecond, holds the other.
//     Whatever is outside is called with neither held.
//   - A snapshot is a walk over a changing registry. It has the number of the newest
//     change at its beginning, h. A session open throughout the walk is visited; one
//     opened or closed meanwhile may be or not, and its change is numbered above h. A
//     session leaves the registry before its Closed is logged, so nothing that was
//     closed up to h is visited. The set of the walk plus the log from h+1 is therefore
//     the truth, applied by highest version, whatever the walk caught.
//   - A node that has no link to an author follows it through a peer: the peer keeps the
//     last RelayedChanges of each author. If that does not reach back it sends a
//     snapshot out of its table, which has no account hashes: such a set is loaded with
//     account 0 and so is absent from the account index, until there is a link and the
//     author's own snapshot replaces it. Nothing is lost by this, as no message can reach
//     those devices without a link; 8 bytes an entry at every node are saved.
//   - Versions come from a hybrid logical clock (hybrid.go): a table forgets a closed
//     entry after some seconds, but others may learn of it later than that, and an opening
//     must be above it there too. Within one log, order counts for more than versions.
//   - Versions that are equal, by two nodes in one millisecond, are ordered by node id, so
//     that exactly one of the two sessions is displaced.
//   - An audit walks the own sessions in steps after each swap, after contests had
//     to be dropped, and every AuditMS. It finds every live session that is beaten or is
//     missing in the table, so no limit in this package can make a device unroutable for
//     good.
//
// Each rule of decision 3 has a constant in rule_*.go, which a build tag switches off
// (mutant_forget and so on), for session/sim to show that it notices.
//
// Start reading at replica.go.
package replica

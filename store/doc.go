// Package store keeps a node's device records, the messages that wait for devices, and
// its epoch on disk, in Pebble.
//
// A record says who is or was connected, to which node: since when, last seen when,
// closed when and with which code, with which user agent, from where, and the
// attributes of its token. Records are soft state (DESIGN.md decision 7): they are written
// behind, in batches, and a killed process loses at most Config.LossWindow of
// them. The epoch (decision 3) is different: it is synced before Open returns.
//
// How a fact travels:
//
//  1. journal.go: Opened and Closed encode it into the journal, under a short
//     mutex; event loops call them, so they never wait for the disk (decision 8);
//  2. writer.go: one goroutine takes the whole journal at most LossWindow/2
//     after its first event and commits it: one Merge for each event, one sync
//     for each batch;
//  3. record.go: Pebble joins the facts of a device with the operator that is
//     defined there, so that no write needs a read and no order of arrival
//     changes the result;
//  4. read.go: Device and Account turn the joined facts into session.Record;
//  5. sweep.go: what is older than Config.Retention goes, found through an index
//     by day of expiry, without a look at the rest;
//  6. keep.go: in a cluster a node keeps the records of the accounts whose home it
//     is. Keep takes facts of other nodes, Held and Release give away what belongs
//     to another.
//
// A message that is kept is a promise (decision 7), and goes another way:
//
//  1. mail.go: Post encodes it into the group that gathers, under a short mutex, and never
//     waits; Settle takes it out again and notes its final outcome;
//  2. mailwriter.go: one goroutine commits what has gathered, synced, and tells each Post;
//     meanwhile the next group gathers;
//  3. mailread.go: Mail is what waits for a device, in order; Mailboxes is everything that
//     waits, for a start to go through;
//  4. outcomes.go: Fates says what became of a message, until Config.OutcomeRetention
//     after it was final. Outcomes are filed by the time at which they go, so that a range
//     tombstone takes many, and what still waits is not among them.
//
// The keys of a message are set once and removed by SingleDelete: one that is settled
// before the write buffer goes to disk, as most are, never gets into a table.
//
// A crash needs no repair: one heartbeat for each epoch (epoch.go) says until
// when the process lived, and a record left open by an older epoch reads as
// closed at that heartbeat with code 1006. Beside its own this node keeps heartbeats
// of the other nodes' processes, for records of the sessions that those hold.
//
// A full disk is waited for, below Pebble (disk.go), because Pebble panics or
// exits on a failed write; Health says so meanwhile and the journal, which is
// bounded, drops and counts. When events were dropped, resync.go brings the
// records back in line with the sessions that are really open.
//
// The package never blocks an event loop, never opens a socket, and is the only
// one that imports Pebble. cmd/roost opens it; the session watchers write to it;
// the api package reads from it and exports its metrics.
//
// Start reading at store.go, then journal.go and writer.go; mail.go for messages.
package store

// Package presence tells sessions which of their account's other devices come and go,
// on whatever node (PROTOCOL.md section 1, presence). It never opens a socket, reads a
// clock or starts a goroutine.
//
// # What happens when a device connects or leaves
//
//  1. Opened, Closed (this node's sessions) or Changed (another node's log) is called
//     on the event loop or link where that happened. If nobody here watches the account
//     that is all: an atomic load or, with watchers, a look into a map (change.go).
//     Otherwise the account is due to be looked at.
//  2. Tick looks at the accounts that are due, so many at a time: each known device is
//     looked up where the truth is, in the table or the registry (look.go). One that is
//     there is told at once; one that is gone only after Config.Grace, and only if it is
//     still gone then.
//  3. Logs name devices by their hashes. A device that is not known by name is asked
//     for at the nodes that hold the account's devices, by one question (names.go).
//  4. An event goes to each watcher but the device itself (tell.go).
//
// # Why it is so
//
//   - A change is a hint to look, never news by itself. So hints may come late, twice
//     and in any order, and one that is lost costs a delay until the next: a quick
//     reconnect, a displaced session and a move between nodes look the same, that is, as
//     if nothing had happened. After a snapshot was swapped in or a node was lost, Sweep
//     makes all watched accounts due, and what is told is the difference.
//   - What is told is state, not history. So a watcher that takes too few events is not
//     owed a queue of them: it gets the state as it is then, once it has room (tell.go).
//   - Where the table cannot know, since it lacks the sessions of a node or had no room for
//     some, a device stays what it was: offline is only said of one that is nowhere.
//   - At most Config.EventsPerTick and AccountsPerTick are worked off in one Tick; what
//     is left stays due, so a storm is spread and none of it is lost.
//
// Start reading at presence.go.
package presence

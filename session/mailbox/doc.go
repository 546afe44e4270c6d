// Package mailbox keeps messages for devices until they have them: stored first, then
// looked after (DESIGN.md decision 7). It is the state machine of everything that was
// pushed with ttl_ms > 0, for the accounts whose home this node is.
//
// How a message travels:
//
//  1. post.go: Post checks the limits and hands the message to the store. A push to an
//     account waits in expand.go until the account's devices are known;
//  2. post.go: once the store has synced it, the message is in its device's box (box.go),
//     its watcher hears that it is kept, and only then the mailbox looks who is online;
//  3. a device that is online and has nothing else waiting gets it straight from memory;
//     for every other case drain.go reads what waits from the store, in order, a window at
//     a time, as soon as Opened says that the device is there;
//  4. attempt.go: what becomes of an attempt. Written is not the end: the message stays
//     until the device acknowledges it (ack.go), it expires (tick.go), or somebody
//     withdraws it (cancel.go);
//  5. learn.go: after a start one pass over the store brings back who waits for what. A
//     device that comes before the pass has got to it is looked up in the store itself.
//
// Three rules carry it, each with a build tag that switches it off for the tests to notice:
// store first, then look who is online (rule_look); keep until acknowledged (rule_keep);
// change something only if it is still what one thinks it is (rule_conditional).
//
// Payloads are in the store and nowhere else, but for messages between Post and the
// first attempt; in memory a message that waits is an item of 64 bytes. The package opens
// no socket and reads no clock. Its ports may block only where they say so, and then they are
// called by the goroutines of Run.
//
// Start reading at Push, then Mailbox.
package mailbox

// Package redis keeps the messages of package mailbox in Redis, for clusters in which they
// must survive the loss of a node's disk. Its Store has the methods of mailbox.Store and is put
// in the place of package store's by cmd/roost.
//
// What is where, all of it under the prefix and the node's id, so that several nodes share
// a server and a node with the same id finds what its predecessor kept:
//
//   - <prefix>:<node>:devices, a set: the addresses for which something waits;
//   - <prefix>:<node>:order:<address>, a sorted set of equal scores, so that Redis sorts the
//     members by their bytes: the id of a message, then what a start needs to know of it
//     (message.go). Not a stream, because a stream takes ids in rising order only, and two that
//     are posted at the same moment may come the other way round;
//   - <prefix>:<node>:mail:<address>, a hash: from such a member to the message;
//   - <prefix>:<node>:epoch: the last one that the node has run with, which is in its ids;
//   - <prefix>:<node>:key:<hash>, a string that Redis forgets with the time of an idempotency key:
//     which message came first with it (keys.go); <prefix>:<node>:keys, a sorted set, has the hashes by
//     that time, for a start to find them;
//   - <prefix>:<node>:fate:<id>, a hash: the outcome for each device. It goes some time
//     after the last of them is final.
//
// How a promise is made: writer.go takes everything that waits, sends it as one transaction
// (MULTI, EXEC), and only then says that it is kept. It is as durable as the server is told
// to be: Open refuses one that does not sync each write (appendonly yes, appendfsync always)
// or that evicts keys, unless Config.Durability is trusted. Redis answers a write after its
// fsync then, so nothing else is needed. Config.ReplicasMin waits for replicas besides.
//
// A server that does not answer is waited for: what was posted stays in the queue, which is
// bounded, and what does not fit is refused. A transaction whose answer was lost is sent again, which
// changes nothing, because all of it may be done twice.
//
// This is the only package that imports a Redis client. It blocks no event loop: Post and
// Settle put into a queue.
//
// Start reading at Store, then writer.go.
package redis

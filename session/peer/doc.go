// Package peer holds the links between the nodes of a cluster (PROTOCOL.md section
// 4): messages to devices of other nodes and their outcomes, the replication of logs,
// and questions.
//
// A link is two TCP connections that come and go together, one for control and one
// for messages, so that a bulky snapshot never delays a push. The node with the
// smaller id dials. Each connection has a bounded queue of encoded frames, which a
// writer goroutine hands to the kernel as one piece, and a reader goroutine that
// calls the handlers with borrowed bytes. Nothing here waits for a peer: a full queue,
// a missing link, a lost one and a late answer each have an outcome of their own, and
// every message that was given a receipt gets exactly one end.
//
// The package decides neither who is a member (gossip does, and calls Member and
// Drop) nor where a device is (route), and it forwards nothing that came over a link.
//
// Start reading at Pool.Send, then link.go for the queue, reader.go and dispatch.go
// for the other side; pair.go is the life of a link and hello.go its beginning.
package peer

// Package protocol is what a device may say, from its request to its close: who it
// is (identity.go), how its connection opens and ends (gate.go), and one switch over
// its frames (frames.go).
//
// Gate is netpoll's Handler. It runs on the event loops and never blocks: what memory
// cannot answer goes to a bounded pool (pool.go) and comes back as a task on the loop.
// It knows no socket beyond netpoll.Conn, no store beyond the interfaces it declares.
//
// A device that only receives asks for Server-Sent Events instead: the same gate, and what
// would be a close code is an event.
//
// Start reading at Gate.Upgrade.
package protocol

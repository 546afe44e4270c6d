// Package generator makes the load: event loops on raw epoll that hold many
// WebSocket connections in a few hundred bytes each, start everything at its
// intended time, and count what comes back.
//
// One process runs one Worker with one or more loops. A loop is a goroutine locked
// to a thread; it owns its connections, its counters and its phase, and shares
// nothing. The parent (package bench) drives all workers of a run through the same
// phases with Orders and hears News, over pipes in JSON, whether a worker is a
// process of its own or lives in the parent.
//
//	worker.go    Orders in, News out, one goroutine for each loop
//	loop.go      one turn: what is due, then what the kernel reports
//	connect.go   socket, source address, handshake
//	read.go      bytes -> frames -> events of the phase
//	write.go     masked frames, what the kernel did not take
//	api.go       a stream of pushes to the server's API, on a socket of the same epoll set
//	arrival.go   whether a message arrived once, in order, on the right device
//	bridge.go    wss://: a goroutine for each direction behind a socket pair
//	phase_*.go   what is done with the connections; a mix does several things at once
//
// It needs Linux; elsewhere Run says so.
package generator

// Package netpolltest drives a server of WebSockets and event streams with exact bytes
// and checks the exact bytes that come back.
//
// It is for tests: of netpoll itself, of the echo server of roost-bench (make
// conformance) and of whoever speaks WebSocket above. It shares no code with
// the server: client frames are built here, server frames are parsed here and
// the tables are written from RFC 6455 and the published case list of the
// Autobahn test suite, so that a mistake in netpoll cannot hide in its test.
//
// Start reading at Case (one conversation and how it must end), then Groups
// (all of them), then Play, which runs a case over a Stream: Memory delivers
// bytes to a netpoll.Detached in any pieces, Socket to a real server.
// The package clients beside it drives Node's ws and headless Chromium.
package netpolltest

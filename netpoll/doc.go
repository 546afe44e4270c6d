// Package netpoll turns the bytes of many connections into messages and back, on
// event loops.
//
// It is a reactor on a poller (epoll; on kqueue gnet's), not on an engine: each loop owns a
// share of the listener, a read buffer, an outbox and a timing wheel, and every connection
// belongs to exactly one loop for life. It speaks HTTP
// just far enough to refuse, to answer a health check, to upgrade and to begin a stream
// of Server-Sent Events, and RFC 6455 in full. It knows no session, account or device:
// who is calling and what a message means is the Handler's business.
//
// Three words stand in every comment. Borrowed: valid until you return. Kept: you
// gave it away, do not change it. On the loop: call only there. Other goroutines may
// call Reactor.Send, SendMany, Close, Resume, Slowest and Stats, nothing else.
//
// A turn of a loop, in processing order: accept.go takes connections, request.go and
// upgrade.go make WebSockets of them and eventstream.go event streams, reader.go cuts
// bytes into messages, the handler answers into the turn's reply, drain.go works off what
// others sent, writer.go gives it to the kernel, wheel.go ends what takes too long.
//
// Start reading at Reactor, then loop.go.
package netpoll

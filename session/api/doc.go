// Package api is the node's HTTP for services and operators, on the internal
// listener: pushes, devices, disconnects, Amazon API Gateway's management calls,
// health, metrics and profiles (PROTOCOL.md section 2). Devices never come here;
// their listener is netpoll's.
//
// It holds no state of its own besides the answers to idempotent pushes. It never
// decides where a message goes (package deliver does), never writes to a socket, and
// never lets one request take an unbounded share of the node: every body, line,
// window and wait is a field of Config.
//
// A push in processing order: guard.go lets the request in, messages.go, stream.go,
// put.go or connections.go read it, push.go gives it to the Pusher and waits for its
// outcomes, answer.go says what they mean in HTTP.
//
// cmd/roost creates one Server with New and gives it a listener with Serve; the
// listener's goroutines call everything else. Start reading at Server, then routes.go.
package api

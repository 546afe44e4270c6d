// Package jetstreamtest starts a NATS server with JetStream within a test's process, on
// loopback, for tests of packages that may not know the client library.
//
// It is for tests only. Start reading at server.go.
package jetstreamtest

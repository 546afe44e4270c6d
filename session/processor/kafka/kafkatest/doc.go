// Package kafkatest starts a Kafka broker within a test's process, on loopback, for tests
// of packages that may not know the client library.
//
// It is for tests only. Start reading at broker.go.
package kafkatest

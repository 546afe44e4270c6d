// Package otlp exports where messages were to OpenTelemetry: the events that the nodes note
// of a message (package trace), as spans below the caller's own, by OTLP/JSON over HTTP
// (opentelemetry.io/docs/specs/otlp). It exports messages that came with a traceparent whose
// sampled flag is set, and no others: whether something is worth a trace its caller decides.
//
// Whoever notes an event puts it into a queue and goes on; one goroutine, Run, makes spans
// of what it finds there and posts them. Every queue is bounded, and what finds no room is
// dropped and counted: an export that is slow, or away, costs nobody a message.
//
// The protocol is written out here, some two hundred lines: the official exporter
// (otlptracehttp) brings its SDK and 105 packages of gRPC and protocol buffers along, counted
// by go list -deps, to post the same.
//
// Start reading at exporter.go, then span.go.
package otlp

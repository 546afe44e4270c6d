// Package processor is asynchronous push: records that a queue hands in wait in lanes
// by priority, are pushed a bounded number at a time, and are tried again until they have
// a final result, which the queue hears (DESIGN.md, walk "Asynchronous").
//
// It knows no queue and no socket. Sources (processor/kafka, processor/jetstream) hand
// records to a Sink; attempts go out through a Pusher, which cmd/roost makes from
// delivery and mailbox; the time is passed in. The mailbox takes turns from the same
// lanes, so that what is pushed now and what has waited share one order of importance.
//
// It promises nothing by itself: a record is in memory here, and safe only where it came
// from, until its source has heard a Result. So nothing is lost when the process ends.
//
// Start reading at record.go, which is all that a source needs; then processor.go.
package processor

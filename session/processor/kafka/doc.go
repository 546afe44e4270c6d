// Package kafka takes records from Kafka topics and hands them to a processor.Sink
// (PROTOCOL.md section 3). It is the only package that knows the Kafka client, franz-go.
//
// The walk of a record:
//
//  1. poll.go: it is polled, gets its slot in the window of its partition, and waits in
//     the lane of its topic's priority; while one of them has no room nothing is polled,
//     and what has none for longer than a moment is not fetched;
//  2. lane.go: one goroutine for each priority reads its headers and hands it to the
//     sink, or waits for room there;
//  3. flight.go: its result comes back, on any goroutine;
//  4. report.go: what can never succeed goes to the dead letter topic and, where one is
//     configured, the result to the results topic; both are acknowledged before
//  5. window.go: the record is final, and the partition may be committed up to the first
//     one that is not;
//  6. commit.go: which is done at intervals, and when a partition goes to another member
//     (partitions.go). The memory of its batch is used again (memory.go).
//
// So a record is never lost between the topic and its outcome; after a crash or a
// rebalance some come again. Within a partition the sink is given the records in their
// order, with a key (flight.go) by which it keeps what belongs together in order.
//
// Every buffer has a limit: the client's fetches, what each lane holds, each window, and,
// through the windows, what is in work and what waits to be reported. The package keeps
// nothing on disk and never looks at a payload. cmd/roost makes a Source and runs it.
//
// Producer is for people: roost kafka-produce.
//
// Start reading at source.go, then in the order above.
package kafka

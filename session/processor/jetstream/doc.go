// Package jetstream takes messages from a stream of NATS JetStream and hands them to a
// processor.Sink, with the same headers as Kafka's (PROTOCOL.md section 3). It is the only
// package that knows the NATS client.
//
// The walk of a message:
//
//  1. lane.go: for each priority with subjects there is a durable pull consumer. As many
//     messages are fetched as may be held, and none while the sink has no room;
//  2. flight.go: its headers are read and it is handed to the sink, whose result comes
//     back on any goroutine;
//  3. settle.go: a final result is acknowledged (Ack); what can never succeed goes to the
//     dead letter subject and is then terminated (Term); what the sink gave up, or has no
//     room for in a while, is given back (Nak with a delay), for other nodes to take;
//  4. tend.go: the server hears at intervals that what is in work still is (InProgress).
//
// So a message is never lost between the stream and its outcome, and comes again when
// the server has not heard of it for ack_wait. The sink is given messages in the order in
// which the server delivers them: that of the stream, except for what comes again, and
// for what other nodes with the same durable take.
//
// Every buffer has a limit: what is held and in work of a lane is at most in_work_max,
// which the server holds to as well (MaxAckPending). The package keeps nothing on disk
// and never looks at a payload. cmd/roost makes a Source and runs it.
//
// Start reading at source.go, then in the order above.
package jetstream

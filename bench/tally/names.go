package tally

// Counter names one of the things that are counted.
type Counter uint8

// The counters. All are sums over loops and processes.
const (
	Attempted    Counter = iota // connections begun
	Opened                      // upgrades completed with a right 101
	Failed                      // attempts that did not become a WebSocket
	Ended                       // open connections that ended without our doing
	Sent                        // numbered messages handed to the kernel; of a fan-out: deliveries due
	Received                    // numbered messages that arrived for the first time
	Lost                        // numbered messages that never arrived, and of which no result said so
	Duplicated                  // numbered messages that arrived again
	Reordered                   // numbered messages that arrived after a later one
	Corrupt                     // messages of ours that are not what was sent
	Unsent                      // messages not sent because the connection's own buffer was full
	Other                       // frames that are no message of ours: a server's greeting, for example
	Pings                       // pings of the server that were answered
	Proved                      // connections that answered the final ping
	Dead                        // connections that were open and did not
	Paced                       // paced sends and connects, the base of Late
	Late                        // of those, begun later than the bound: the generator's own fault
	Beats                       // heartbeats of the generator's loops, the base of LateBeats
	LateBeats                   // heartbeats later than the bound
	BytesIn                     // read from sockets
	BytesOut                    // written to sockets
	Pushed                      // messages given to the server's API
	Answered                    // of the messages pushed or relayed, those whose result came
	Unanswered                  // those whose result never came
	Undelivered                 // results that do not say written, acked, queued or accepted
	Dropped                     // connections that had to come back: reset on purpose or, in a soak, ended by the server
	Returned                    // of those, back
	Missing                     // of those, not back when the phase ended; of a move: not displaced by then
	Retried                     // attempts to come back that were not the first
	Moved                       // devices that connected to another node while they were connected
	Displaced                   // of those, whose first connection was closed with 4001
	Acknowledged                // acks sent to the server, for messages that it keeps
	counterCount
)

var counterNames = [counterCount]string{
	"attempted", "opened", "failed", "ended", "sent", "received", "lost", "duplicated",
	"reordered", "corrupt", "unsent", "other", "pings", "proved", "dead",
	"paced", "late", "beats", "late_beats", "bytes_in", "bytes_out",
	"pushed", "answered", "unanswered", "undelivered", "dropped", "returned", "missing", "retried",
	"moved", "displaced", "acknowledged",
}

// String returns the name used in JSON and in thresholds.
func (c Counter) String() string { return counterNames[c] }

// Counters lists all counters in their order of appearance.
func Counters() []Counter {
	all := make([]Counter, counterCount)
	for i := range all {
		all[i] = Counter(i)
	}
	return all
}

// Timer names one of the latencies that are recorded, in nanoseconds.
type Timer uint8

// The timers. Those without "closed" are open-loop: they start at the intended
// time, so they contain every wait. The closed ones start when the bytes were
// really handed over and flatter a server that stalls; they are shown beside the
// others, labelled.
const (
	Connect       Timer = iota // intended start of a connection -> 101 read
	ConnectClosed              // connect() called -> 101 read
	Echo                       // intended send -> echo read
	EchoClosed                 // write called -> echo read
	Proof                      // final ping written -> its pong read
	Lateness                   // intended start -> really begun: the generator's own delay
	Push                       // intended start of a push -> its payload read by the device
	PushClosed                 // line handed to the API's socket -> payload read by the device
	PushArrived                // line handed to the API's socket -> the device's kernel has the payload: the server's share
	PushWindow                 // the 99th percentile of PushArrived in each tenth of a second
	Outcome                    // intended start of a push -> its result read
	OutcomeClosed              // line handed to the API's socket -> its result read
	Fanout                     // intended start of a fan-out -> read by one device, each of them
	FanoutLast                 // intended start of a fan-out -> read by the last device of all
	Relay                      // intended send of a device -> payload read by its peer
	RelayClosed                // write called -> payload read by the peer
	RelayArrived               // write called -> the peer's kernel has it: the server's share, without the generator's own reading
	RelayWindow                // the 99th percentile of RelayArrived in each tenth of a second
	Answer                     // intended send of a device -> the result read by it
	AnswerClosed               // write called -> the result read
	Return                     // connection reset on purpose -> 101 of its successor
	Displace                   // 101 of a device's second connection, at another node -> the close frame of its first
	timerCount
)

var timerNames = [timerCount]string{
	"connect", "connect.closed", "echo", "echo.closed", "proof", "lateness",
	"push", "push.closed", "push.arrived", "push.window", "outcome", "outcome.closed", "fanout", "fanout.last", "relay", "relay.closed", "relay.arrived", "relay.window",
	"answer", "answer.closed", "return", "displace",
}

// String returns the name used in JSON and in thresholds.
func (t Timer) String() string { return timerNames[t] }

// Timers lists all timers in their order of appearance.
func Timers() []Timer {
	all := make([]Timer, timerCount)
	for i := range all {
		all[i] = Timer(i)
	}
	return all
}

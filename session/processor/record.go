package processor

import "github.com/roostpush/roost/session"

// Record is one message from a source, as its headers say (PROTOCOL.md section 3).
// ParseHeaders fills it. It has either an Account, with or without Device, or a Topic.
type Record struct {
	Account string
	Device  string // empty: every device of the account
	Topic   string // a publish to its subscribers; empty: to the account

	ID      string // the caller's own id, which is its idempotency key; empty: none
	IDScope string // what ID is unique within: the source of a CloudEvent; empty: all records

	TTLMS    int64 // how long it is kept for its devices, from SentMS on; 0: now or never
	Kind     session.Kind
	Payload  []byte // never parsed
	Priority session.Priority
	Trace    string // W3C traceparent; empty: none
	SentMS   int64  // Unix milliseconds at the producer; Take sets one that is missing or in the future to now

	// Key orders records: those with one key and one priority are attempted one after
	// another in the order of Take, each once the one before it has its result. 0: none.
	Key uint64
}

// Result is what became of a record: how many devices have which outcome (none, if a
// topic has no subscribers or it is rejected), or why it can never succeed.
type Result struct {
	Counts [session.OutcomeCount]int

	// ID is the id under which the record is kept, for GET /v1/messages/{id}; zero if it
	// is not kept. A record whose devices are counted as Queued is final for its source:
	// the promise has passed to the keeper.
	ID session.ID

	Reject   *Reject // not nil: a poison record, Counts is empty
	Repeated bool    // a record with this ID had this result before, and this one was not pushed
	GivenUp  bool    // the processor was closed first: nothing is final, the record must come again
}

// Reject says why a record can never succeed. It belongs to nobody and is never changed.
type Reject struct {
	Code   string // one of the codes below; part of the contract, dead-letter readers branch on it
	Detail string // a sentence for people: what is wrong, where, and what would be right
}

// Error returns code and detail.
func (r *Reject) Error() string { return r.Code + ": " + r.Detail }

// The codes of a Reject. Those in the first group are of ParseHeaders.
const (
	CodeAddressMissing  = "address_missing"   // neither account nor topic
	CodeAddressTwice    = "address_twice"     // account and topic
	CodeHeaderRepeated  = "header_repeated"   // one of ours twice, with different values
	CodeAccountInvalid  = "account_invalid"   // out of the pattern for names
	CodeDeviceInvalid   = "device_invalid"    // out of the pattern for names, or without an account
	CodeSubjectInvalid  = "subject_invalid"   // ce_subject is not account/device
	CodeTopicInvalid    = "topic_invalid"     // out of the pattern for topics
	CodeIDInvalid       = "id_invalid"        // empty, too long, or with control characters
	CodeTTLInvalid      = "ttl_invalid"       // not a whole number, negative, or beyond the cap
	CodePriorityUnknown = "priority_unknown"  // none of high, normal and low
	CodeContentType     = "content_type"      // cannot be read
	CodePayloadInvalid  = "payload_invalid"   // not what its content-type says
	CodePayloadTooLarge = "payload_too_large" // larger than a payload may be

	CodeIDReused = "id_reused" // of Take: its ID belongs to another record
)

// Sink takes records from sources; Processor is one. Any goroutine may call it.
type Sink interface {
	// Take takes a record in, which is kept until done: the source must not change it, nor
	// the bytes of its payload, before. done is called exactly once with the result, on any
	// goroutine, also before Take returns; it must not block and may call Take. False: there
	// is no room in its lane, or the processor is closed; nothing was kept and done is never
	// called. Try again after Room.
	Take(r *Record, done func(Result)) bool

	// Room returns a channel that is closed once the lane takes records again; one that is
	// closed already if it does. It stays open for ever when the processor has been closed.
	Room(p session.Priority) <-chan struct{}

	// Paused reports whether nothing is attempted for now, because the node drains or the
	// store is stalled. Take still works until a lane is full.
	Paused() bool
}

package session

// ID is the whole id of a message: who made it, and its number there. Of a kept message
// Origin.Node is its keeper, so that an ack or a question about it can be routed from
// any node.
type ID struct {
	Origin
	Number MessageID
}

// Text returns the text of the id.
func (i ID) Text() string { return i.Origin.Text(uint64(i.Number)) }

// ParseMessageID reads the text of a message's id; ok is false for anything no node made.
func ParseMessageID(s string) (id ID, ok bool) {
	o, n, ok := ParseID(s)
	return ID{o, MessageID(n)}, ok
}

// Kept is a message that its keeper has promised to keep until its device has
// acknowledged it or its time is over (DESIGN.md decision 7). Its bytes and strings are
// borrowed by whoever is handed a Kept, unless the receiver says that it keeps them.
type Kept struct {
	ID
	Address

	Kind      Kind
	Payload   []byte // never parsed
	From      string // device of the sender within the account; empty: a service
	SentMS    int64  // Unix milliseconds at the accepting node
	ExpiresMS int64  // Unix milliseconds from which on it is not delivered any more
	Priority  Priority
	Collapse  string // of two that wait for a device with one key only the newer stays; empty: none
	First     bool   // the first device's ack takes it from the account's others
	Trace     string // W3C traceparent; empty: none
	Key       Key    // idempotency key of the push that it came with; zero: none
}

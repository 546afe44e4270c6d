package session

// Kind says how a payload is carried to a roost.v1 device, and which WebSocket
// opcode carries it bare to a roost.raw one.
type Kind uint8

// The kinds of payload.
const (
	JSON   Kind = iota // one JSON value, embedded byte for byte; raw: a text frame
	Text               // UTF-8; the member "text"; raw: a text frame
	Binary             // any bytes; the member "base64"; raw: a binary frame
)

// Wait is the level of outcome that a sender asks for.
type Wait uint8

// The levels.
const (
	WaitWritten Wait = iota // the default: the kernel took the bytes
	WaitAcked               // the device said so
	WaitNone                // the sender does not wait
)

var waitNames = [...]string{"written", "acked", "none"}

// String returns the word used on the wire.
func (w Wait) String() string { return waitNames[w] }

// ParseWait reads the word used on the wire; the empty string is the default.
func ParseWait(s string) (Wait, bool) {
	if s == "" {
		return WaitWritten, true
	}
	for i, name := range waitNames {
		if s == name {
			return Wait(i), true
		}
	}
	return 0, false
}

// Message is what travels to a device. Its byte slices are borrowed by whoever
// is handed a Message, unless the receiver says that it keeps them.
type Message struct {
	ID      MessageID // made by the accepting node
	Kind    Kind
	Payload []byte // never parsed
	From    string // device of the sender within the account; empty: a service
	SentMS  int64  // Unix time in milliseconds at the accepting node
	Ack     bool   // the sender waits for the device's ack
	Topic   string // of a message to a topic; else empty
	Trace   string // W3C traceparent, well-formed; empty: none
}

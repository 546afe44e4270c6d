package wire

import (
	"github.com/roostpush/roost/session"
)

// The limits of a push's members (PROTOCOL.md section 0 and the RFCs it follows).
const (
	// KeyBytesMax bounds a caller's own id, which is its idempotency key.
	KeyBytesMax = 128
	// CollapseBytesMax bounds collapse, which is RFC 8030's Topic (section 5.4): at
	// most 32 characters of the URL-safe base64 alphabet.
	CollapseBytesMax = 32
	// TimeoutMSMax bounds timeout_ms as far as its type goes; the API has a lower one
	// of its own.
	TimeoutMSMax = 1<<31 - 1
)

// PushFrame is one push of a service: a JSON body or one line of NDJSON. Its
// slices are borrowed: valid until the input or the struct is used again. One
// goroutine at a time may use it; the zero value is ready.
type PushFrame struct {
	Account []byte // with or without Device; nil with Topic or All
	Device  []byte // nil: every device of the account
	Topic   []byte
	All     bool // everybody connected

	Payload []byte // the caller's bytes; of text and base64 what they stand for
	Kind    session.Kind

	ID        []byte // the caller's own id; nil: none
	TTLMS     int64
	TimeoutMS int64 // 0: not said, the default counts
	Priority  session.Priority
	Wait      session.Wait
	Collapse  []byte // nil: none
	Trace     []byte // W3C traceparent, well-formed; nil: none
	AcksFirst bool   // the first device's ack is enough, and takes the message from the others

	top, to reader
}

// ParsePush reads one push. An error is an *Error.
func ParsePush(b []byte, p *PushFrame) error {
	*p = PushFrame{top: p.top, to: p.to}
	r := &p.top
	r.read(b)
	p.ID = r.name(memberID, checkKey)
	p.parseTo()
	p.Payload, p.Kind = r.payload()
	p.TTLMS = r.integer(memberTTLMS, 0, TTLMSMax, 0)
	p.TimeoutMS = r.integer(memberTimeoutMS, 1, TimeoutMSMax, 0)
	p.parseWords()
	p.Collapse = r.name(memberCollapse, checkCollapse)
	if p.Trace = r.text(memberTraceparent, len(b)); !session.ValidTraceparent(Borrow(p.Trace)) {
		p.Trace = nil // ignored, as the recommendation asks (W3C Trace Context section 3.2)
	}
	return r.result()
}

// parseTo reads {"account","device"}, {"account"}, {"topic"} or {"all":true}.
func (p *PushFrame) parseTo() {
	r, to := &p.top, &p.to
	if !r.has(memberTo) {
		r.fail(CodeMissing, 0, `to is missing: {"account","device"}, {"account"}, {"topic"} or {"all":true}`)
		return
	}
	to.readMember(r, memberTo)
	p.Account = to.name(memberAccount, checkAccount)
	p.Device = to.name(memberDevice, checkDevice)
	p.Topic = to.name(memberTopic, session.CheckTopic)
	p.All = to.boolean(memberAll)
	ways := 0
	for _, way := range [...]bool{p.Account != nil, p.Topic != nil, p.All} {
		if way {
			ways++
		}
	}
	switch {
	case to.err.Code != "":
		r.inherit(to)
	case ways != 1 || p.Device != nil && p.Account == nil:
		r.bad(memberTo, `is not one of {"account","device"}, {"account"}, {"topic"} and {"all":true}`)
	}
}

// parseWords reads the members that are one of a few words.
func (p *PushFrame) parseWords() {
	r := &p.top
	var ok bool
	if p.Wait, ok = session.ParseWait(Borrow(r.text(memberWait, 16))); !ok {
		r.bad(memberWait, "is none of written, acked and none")
	}
	if p.Priority, ok = session.ParsePriority(Borrow(r.text(memberPriority, 16))); !ok {
		r.bad(memberPriority, "is none of high, normal and low")
	}
	switch string(r.text(memberAcks, 16)) {
	case "", "all":
	case "first":
		p.AcksFirst = true
	default:
		r.bad(memberAcks, "is neither first nor all")
	}
}

// errName is a reason that costs nothing to make.
type errName string

func (e errName) Error() string { return string(e) }

// checkKey reports what is wrong with a caller's own id.
func checkKey(s string) error {
	if s == "" || len(s) > KeyBytesMax {
		return errName("id is not 1 to 128 bytes long")
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return errName("id has a control character")
		}
	}
	return nil
}

// checkCollapse reports what is wrong with a collapse key (RFC 8030 section 5.4).
func checkCollapse(s string) error {
	if s == "" || len(s) > CollapseBytesMax {
		return errName("collapse is not 1 to 32 bytes long")
	}
	for i := range len(s) {
		c := s[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return errName("collapse has a character other than A-Z, a-z, 0-9, '-' and '_'")
		}
	}
	return nil
}

package wire

import (
	"encoding/binary"

	"github.com/roostpush/roost/session"
)

// QuestionKind says what one node asks another.
type QuestionKind uint8

// The kinds. The set grows with minor versions: a kind that the other node does not
// know is answered with an error.
const (
	QuestionHolds      QuestionKind = 1 + iota // do you hold Account/Device, and since which version?
	QuestionDevices                            // which devices of Account do you hold or remember?
	QuestionDisconnect                         // close the session of Account/Device, or of that number
	QuestionConnection                         // what is the session of that number?
	QuestionInterest                           // have you taken all that this link said of interest so far? Any answer says yes
	QuestionReplay                             // ReplayQuestion, answered by a ReplayAnswer
	QuestionFates                              // what has become of the message whose id is Body?
	QuestionCancel                             // withdraw the message whose id is Body, and say what has become of it
	QuestionConnected                          // which devices of Account are connected to you? The answer's body is Names
	QuestionMissed                             // how many messages wait for Account/Device? The answer's Version says it
	QuestionTrace                              // what do you remember of the way of the message whose id is Body?
	QuestionKey                                // which message came first with the idempotency key whose hash is Body? The answer's is a MailKey; its Version is 1 while that is being stored. From version 1.4 on
	QuestionHandedOver                         // have you noted that all that I kept of topics is with their homes of now, since I leave? Any answer without an error says yes. From version 1.5 on
)

// LinkQuestion asks another node something that its memory can answer. Strings and
// Body of a parsed one are borrowed.
type LinkQuestion struct {
	Ref     uint64 // names the question in its answer
	Kind    QuestionKind
	Account string // empty: none
	Device  string // empty: none
	Version uint64
	Session uint64 // number of a session
	Body    []byte // what else the kind needs, in its own encoding
}

// LinkAnswer answers a LinkQuestion. Error and Body of a parsed one are borrowed.
type LinkAnswer struct {
	Ref     uint64 // the question's
	Held    bool
	Version uint64
	Error   string // why there is no answer; empty: there is one
	Body    []byte // in the encoding of the question's kind
}

// NamesMax bounds the names in one answer.
const NamesMax = 1000

// AppendNames appends the body of an answer that is names, at most NamesMax.
func AppendNames(dst []byte, names []string) []byte {
	for _, name := range names[:min(len(names), NamesMax)] {
		dst = appendText(dst, name)
	}
	return dst
}

// ParseNames reads names, which are not borrowed. An error is an *Error.
func ParseNames(b []byte) (names []string, err error) {
	r := linkBody{b: b}
	for r.err == nil && r.left() > 0 {
		switch name := r.name("name"); {
		case r.err != nil:
		case name == "":
			r.fail(CodeValue, "an empty name")
		case len(names) == NamesMax:
			r.fail(CodeLimit, "names")
		default:
			names = append(names, string([]byte(name)))
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	return names, nil
}

// AnswerErrorBytesMax bounds LinkAnswer.Error; longer ones are cut.
const AnswerErrorBytesMax = 512

// AppendLinkQuestion appends the body of a question.
func AppendLinkQuestion(dst []byte, q *LinkQuestion) []byte {
	dst = binary.BigEndian.AppendUint64(dst, q.Ref)
	dst = append(dst, byte(q.Kind))
	dst = appendText(dst, q.Account)
	dst = appendText(dst, q.Device)
	dst = binary.AppendUvarint(dst, q.Version)
	dst = binary.AppendUvarint(dst, q.Session)
	return append(dst, q.Body...)
}

// ParseLinkQuestion reads the body of a question. An error is an *Error.
func ParseLinkQuestion(b []byte, q *LinkQuestion) error {
	r := linkBody{b: b}
	q.Ref = r.uint64("ref")
	q.Kind = QuestionKind(r.byte("kind"))
	q.Account = r.name("account")
	q.Device = r.name("device")
	q.Version = r.uvarint("version")
	q.Session = r.uvarint("session")
	q.Body = r.take(r.left(), "body")
	if r.err == nil && q.Kind == 0 {
		r.fail(CodeValue, "kind 0")
	}
	return r.result()
}

// AppendLinkAnswer appends the body of an answer.
func AppendLinkAnswer(dst []byte, a *LinkAnswer) []byte {
	dst = binary.BigEndian.AppendUint64(dst, a.Ref)
	dst = append(dst, boolByte(a.Held))
	dst = binary.AppendUvarint(dst, a.Version)
	dst = appendText(dst, a.Error[:min(len(a.Error), AnswerErrorBytesMax)])
	return append(dst, a.Body...)
}

// ParseLinkAnswer reads the body of an answer. An error is an *Error.
func ParseLinkAnswer(b []byte, a *LinkAnswer) error {
	r := linkBody{b: b}
	a.Ref = r.uint64("ref")
	a.Held = r.bool("held")
	a.Version = r.uvarint("version")
	a.Error = Borrow(r.bytes("error", AnswerErrorBytesMax))
	a.Body = r.take(r.left(), "body")
	return r.result()
}

// Valid reports whether ParseLinkQuestion will take what AppendLinkQuestion makes of q.
func (q *LinkQuestion) Valid() bool { return q.Kind != 0 && isName(q.Account) && isName(q.Device) }

// SizeMax returns an upper bound of what AppendLinkQuestion appends.
func (q *LinkQuestion) SizeMax() int { return 64 + 2*session.NameBytesMax + len(q.Body) }

// SizeMax returns an upper bound of what AppendLinkAnswer appends.
func (a *LinkAnswer) SizeMax() int { return 64 + AnswerErrorBytesMax + len(a.Body) }

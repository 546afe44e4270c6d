package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/roostpush/roost/session"
)

// MailKeys files idempotency keys with the present home of their accounts, because its sender
// is not that, or not any more: the home then knows a push that comes again. It is answered by a
// MailFiled; until that says so the sender offers them again.
//
// GoneMS is not carried: time is what is left, since the clocks of two nodes need not agree.
type MailKeys struct {
	Ref  uint64 // names the frame in its MailFiled
	Keys []MailKey
}

// MailKey is one of them. It owns its bytes once it is parsed.
type MailKey struct {
	session.FiledKey
	LeftMS int64 // milliseconds until it is forgotten
}

// MailKeysMax bounds the keys of one frame, which is some 20 KB then.
const MailKeysMax = 256

// MailKeyBytesMax bounds what AppendMailKey appends.
const MailKeyBytesMax = 16 + 8 + 8 + 4*binary.MaxVarintLen64 + 1 + session.NodeBytesMax

// AppendMailKeys appends the body of a MailKeys.
func AppendMailKeys(dst []byte, m *MailKeys) []byte {
	dst = binary.BigEndian.AppendUint64(dst, m.Ref)
	for i := range m.Keys {
		dst = AppendMailKey(dst, &m.Keys[i])
	}
	return dst
}

// AppendMailKey appends one key.
func AppendMailKey(dst []byte, k *MailKey) []byte {
	dst = append(dst, k.Hash[:]...)
	dst = binary.BigEndian.AppendUint64(dst, k.Sum)
	dst = binary.BigEndian.AppendUint64(dst, k.Account)
	dst = binary.AppendUvarint(appendTime(dst, k.LeftMS), uint64(k.Devices))
	return appendMessageID(dst, k.ID)
}

// ParseMailKeys reads the body of a mail_keys frame. m.Keys is used again. An error is an *Error.
func ParseMailKeys(b []byte, m *MailKeys) error {
	r := linkBody{b: b}
	m.Ref, m.Keys = r.uint64("ref"), m.Keys[:0]
	for r.err == nil && r.left() > 0 {
		if len(m.Keys) == MailKeysMax {
			r.fail(CodeLimit, fmt.Sprintf("more than %d keys", MailKeysMax))
			break
		}
		var k MailKey
		r.mailKey(&k)
		m.Keys = append(m.Keys, k)
	}
	if r.err == nil && len(m.Keys) == 0 {
		r.fail(CodeValue, "no keys")
	}
	return r.end()
}

// ParseMailKey reads what AppendMailKey has appended, and nothing behind it. An error is an *Error.
func ParseMailKey(b []byte, k *MailKey) error {
	r := linkBody{b: b}
	*k = MailKey{}
	r.mailKey(k)
	return r.end()
}

func (r *linkBody) mailKey(k *MailKey) {
	copy(k.Hash[:], r.take(len(k.Hash), "key"))
	k.Sum, k.Account = r.uint64("key's sum"), r.uint64("account")
	k.LeftMS = r.time("left_ms")
	k.Devices = int(r.bounded("devices", 1<<31-1))
	r.messageID(&k.ID)
	if r.err == nil && k.IsZero() {
		r.fail(CodeValue, "a key that is none")
	}
}

// MailFiled answers a MailKeys. Why is borrowed.
type MailFiled struct {
	Ref   uint64 // of the MailKeys
	Filed bool   // the answering node knows the keys, also after a crash. Otherwise Why names the limit or fault for people
	Why   string
}

// AppendMailFiled appends the body of a MailFiled; a longer reason is cut.
func AppendMailFiled(dst []byte, m *MailFiled) []byte {
	return appendText(append(binary.BigEndian.AppendUint64(dst, m.Ref), boolByte(m.Filed)), m.Why[:min(len(m.Why), MailWhyBytesMax)])
}

// ParseMailFiled reads the body of a mail_filed frame. An error is an *Error.
func ParseMailFiled(b []byte, m *MailFiled) error {
	r := linkBody{b: b}
	m.Ref = r.uint64("ref")
	m.Filed, m.Why = r.bool("filed"), Borrow(r.bytes("why", MailWhyBytesMax))
	return r.end()
}

// MailSettled says whether the homes of all idempotency keys that its sender knows know them too, by
// the members that it believes in: then those homes need not ask it. It holds for the link, until
// the next one.
type MailSettled struct {
	Settled bool
	Members uint64 // home.Members.Sum, if settled; else 0
}

// AppendMailSettled appends the body of a MailSettled.
func AppendMailSettled(dst []byte, m *MailSettled) []byte {
	return binary.BigEndian.AppendUint64(append(dst, boolByte(m.Settled)), m.Members)
}

// ParseMailSettled reads the body of a mail_settled frame. An error is an *Error.
func ParseMailSettled(b []byte, m *MailSettled) error {
	r := linkBody{b: b}
	m.Settled, m.Members = r.bool("settled"), r.uint64("members")
	if r.err == nil && !m.Settled && m.Members != 0 {
		r.fail(CodeValue, "a node that is not settled, among members")
	}
	return r.end()
}

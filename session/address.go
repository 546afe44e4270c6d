package session

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// NameBytesMax bounds an account or device name (PROTOCOL.md section 0).
const NameBytesMax = 128

// TopicBytesMax bounds a topic name (PROTOCOL.md section 0).
const TopicBytesMax = 256

// NodeBytesMax bounds a node id, so that every id made by a node stays within
// IDBytesMax.
const NodeBytesMax = 24

// Address names one device: the account that owns it and its own name. It is
// written account/device.
type Address struct {
	Account string
	Device  string
}

// String returns account/device.
func (a Address) String() string { return a.Account + "/" + a.Device }

// Check reports the first thing wrong with the address, naming the part.
func (a Address) Check() error {
	if err := CheckName("account", a.Account); err != nil {
		return err
	}
	return CheckName("device", a.Device)
}

// ParseAddress reads account/device.
func ParseAddress(s string) (Address, error) {
	account, device, ok := strings.Cut(s, "/")
	if !ok {
		return Address{}, fmt.Errorf("address %q has no '/': write it account/device", s)
	}
	a := Address{Account: account, Device: device}
	return a, a.Check()
}

// CheckName reports what is wrong with an account or device name: 1 to 128 bytes
// of UTF-8 without control characters, '/' or spaces. what names it in the error.
func CheckName(what, s string) error {
	switch {
	case s == "":
		return fmt.Errorf("%s is missing", what)
	case len(s) > NameBytesMax:
		return fmt.Errorf("%s is %d bytes long, at most %d are allowed", what, len(s), NameBytesMax)
	case isPlain(s):
		return nil
	case !utf8.ValidString(s):
		return fmt.Errorf("%s %q is not UTF-8", what, s)
	}
	for i, r := range s {
		if r == '/' || unicode.IsControl(r) || unicode.IsSpace(r) {
			return fmt.Errorf("%s %q has %q at byte %d: control characters, '/' and spaces are not allowed", what, s, r, i)
		}
	}
	return nil
}

// isPlain says that a name is made of visible ASCII without '/', as nearly all are. A push to
// another node has its names checked three times: as it comes, before it leaves and there.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '/' {
			return false
		}
	}
	return true
}

// CheckNode reports what is wrong with a node id: 1 to 24 of a-z, 0-9 and '-'.
// '.' is left out because it separates the parts of the ids a node makes.
func CheckNode(s string) error {
	if s == "" || len(s) > NodeBytesMax {
		return fmt.Errorf("node id %q is %d bytes long, 1 to %d are allowed", s, len(s), NodeBytesMax)
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return fmt.Errorf("node id %q has %q at byte %d: only a-z, 0-9 and '-' are allowed", s, c, i)
		}
	}
	return nil
}

// CheckTopic reports what is wrong with a topic: 1 to 256 bytes, segments of
// letters, digits, '-' and '_' joined by '.'.
func CheckTopic(s string) error {
	if s == "" || len(s) > TopicBytesMax {
		return fmt.Errorf("topic is %d bytes long, 1 to %d are allowed", len(s), TopicBytesMax)
	}
	for segment := range strings.SplitSeq(s, ".") {
		if segment == "" {
			return fmt.Errorf("topic %q has an empty segment", s)
		}
		for _, r := range segment {
			if r != '-' && r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
				return fmt.Errorf("topic %q has %q: segments are letters, digits, '-' and '_'", s, r)
			}
		}
	}
	return nil
}

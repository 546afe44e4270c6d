// HOT PATH

package wire

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/roostpush/roost/session"
)

// Keep asks a node to keep facts, because it is the home of their accounts (DESIGN.md
// decision 7). It is answered by a Kept once they are on its disk. Strings and byte
// slices of parsed facts are borrowed, but not the node of their origin.
type Keep struct {
	Ref uint64 // names the frame in its Kept; 0: no answer is wanted
	KeepState
	Facts []session.Fact
}

// KeepState is what every Keep says of its sender.
type KeepState struct {
	Holding bool // its own disk has facts now that belong to other nodes
	Lost    bool // it had no room for ends of its own sessions: they may still be open at their homes
}

// The byte of a KeepState.
const (
	keepHolding = 1
	keepLost    = 2
)

func (s KeepState) byte() (b byte) {
	if s.Holding {
		b |= keepHolding
	}
	if s.Lost {
		b |= keepLost
	}
	return b
}

// Kept answers a Keep.
type Kept struct {
	Ref     uint64 // of the Keep
	Refused bool   // the facts are not kept: there was no room for them
}

// The bounds of what a fact carries, in bytes. A store may keep less.
const (
	FactUserAgentBytesMax = 8 << 10
	FactRemoteBytesMax    = 256
	FactAttrsBytesMax     = 32 << 10
)

// KeepHeadBytes is the size of the body of a Keep before its facts.
const KeepHeadBytes = 1 + 8 + 1

// A keep frame begins with what is to be kept. So far there are facts.
const keepFacts = 1

// BeginKeep appends the body of a Keep up to its facts, which AppendFact appends.
func BeginKeep(dst []byte, ref uint64, state KeepState) []byte {
	return append(binary.BigEndian.AppendUint64(append(dst, keepFacts), ref), state.byte())
}

// SetKeep changes what stands before the facts of a body that BeginKeep began.
func SetKeep(body []byte, ref uint64, state KeepState) {
	binary.BigEndian.PutUint64(body[1:], ref)
	body[KeepHeadBytes-1] = state.byte()
}

// AppendKeep appends the body of a Keep.
func AppendKeep(dst []byte, k *Keep) []byte {
	dst = BeginKeep(dst, k.Ref, k.KeepState)
	for i := range k.Facts {
		dst = AppendFact(dst, &k.Facts[i])
	}
	return dst
}

// The first byte of a fact.
const (
	factDetailed = 1
	factClosed   = 2
)

// FactSizeMax returns an upper bound of what AppendFact appends.
func FactSizeMax(f *session.Fact) int {
	return 1 + 2*2 + 1 + 6*binary.MaxVarintLen64 + 4*3 +
		len(f.Account) + len(f.Device) + len(f.Node) + len(f.UserAgent) + len(f.Remote) + len(f.Attrs)
}

// AppendFact appends one fact to the body of a Keep. Times before 1970 become 0.
func AppendFact(dst []byte, f *session.Fact) []byte {
	flags := byte(0)
	if f.Detailed {
		flags |= factDetailed
	}
	if f.Closed {
		flags |= factClosed
	}
	dst = append(dst, flags)
	dst = appendText(dst, f.Account)
	dst = appendText(dst, f.Device)
	dst = appendOrigin(dst, f.Origin)
	dst = binary.AppendUvarint(dst, f.Number)
	dst = binary.AppendUvarint(dst, f.Version)
	dst = appendTime(dst, f.OpenedMS)
	dst = appendTime(dst, f.SeenMS)
	if f.Detailed {
		dst = appendText(dst, f.UserAgent)
		dst = appendText(dst, f.Remote)
		dst = appendText(dst, Borrow(f.Attrs))
	}
	if f.Closed {
		dst = appendTime(dst, f.ClosedMS)
		dst = binary.AppendUvarint(dst, uint64(f.CloseCode))
	}
	return dst
}

func appendTime(dst []byte, ms int64) []byte { return binary.AppendUvarint(dst, uint64(max(ms, 0))) }

// ParseKeep reads the body of a keep frame; Facts is filled again. An error is an
// *Error.
func ParseKeep(b []byte, k *Keep) error {
	r := linkBody{b: b}
	if what := r.byte("kind"); r.err == nil && what != keepFacts {
		r.fail(CodeValue, fmt.Sprintf("kind %d", what))
	}
	k.Ref = r.uint64("ref")
	state := r.byte("state")
	if state&^(keepHolding|keepLost) != 0 {
		r.fail(CodeValue, fmt.Sprintf("state %#02x", state))
	}
	k.KeepState = KeepState{Holding: state&keepHolding != 0, Lost: state&keepLost != 0}
	k.Facts = k.Facts[:0]
	for n := 1; r.err == nil && r.left() > 0; n++ {
		// What stood there is compared, see origin.
		k.Facts = slices.Grow(k.Facts, 1)[:n]
		r.fact(&k.Facts[n-1])
	}
	if r.err != nil {
		k.Facts = k.Facts[:0]
	}
	return r.result()
}

func (r *linkBody) fact(f *session.Fact) {
	flags := r.byte("flags")
	if flags&^(factDetailed|factClosed) != 0 {
		r.fail(CodeValue, fmt.Sprintf("flags %#02x", flags))
	}
	*f = session.Fact{Origin: f.Origin, Detailed: flags&factDetailed != 0, Closed: flags&factClosed != 0}
	f.Account, f.Device = r.name("account"), r.name("device")
	r.origin(&f.Origin)
	f.Number, f.Version = r.uvarint("number"), r.uvarint("version")
	f.OpenedMS, f.SeenMS = r.time("opened_ms"), r.time("seen_ms")
	if f.Detailed {
		f.UserAgent = Borrow(r.bytes("user_agent", FactUserAgentBytesMax))
		f.Remote = Borrow(r.bytes("remote", FactRemoteBytesMax))
		f.Attrs = r.bytes("attrs", FactAttrsBytesMax)
	}
	if f.Closed {
		f.ClosedMS = r.time("closed_ms")
		f.CloseCode = uint16(r.bounded("close_code", 1<<16-1))
	}
	switch {
	case r.err != nil:
	case f.Account == "" || f.Device == "":
		r.fail(CodeValue, "a fact about nobody")
	case f.Version > VersionMax:
		r.fail(CodeValue, fmt.Sprintf("version %d is longer than 48 bits", f.Version))
	}
}

// time is Unix milliseconds.
func (r *linkBody) time(what string) int64 { return int64(r.bounded(what, 1<<63-1)) }

// AppendKept appends the body of a Kept.
func AppendKept(dst []byte, k *Kept) []byte {
	return append(binary.BigEndian.AppendUint64(dst, k.Ref), boolByte(k.Refused))
}

// ParseKept reads the body of a kept frame. An error is an *Error.
func ParseKept(b []byte, k *Kept) error {
	r := linkBody{b: b}
	k.Ref = r.uint64("ref")
	k.Refused = r.bool("refused")
	return r.end()
}

// HOT PATH

package wire

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/roostpush/roost/session"
)

// OutcomesListedMax bounds the devices that one entry lists (PROTOCOL.md section 0:
// beyond 1,000 they are counted).
const OutcomesListedMax = 1000

// DeviceOutcome is what became of a message for one device.
type DeviceOutcome struct {
	Device  string // borrowed; empty: the one device that the message was for
	Outcome session.Outcome
}

// Outcomes answers a Forward. The strings of a parsed one are borrowed, and Devices is
// filled again by the next ParseOutcomes.
type Outcomes struct {
	Ref     uint64 // the Forward's
	Devices []DeviceOutcome
	Counts  [session.OutcomeCount]uint32 // of addressees that are not in Devices
	Final   bool                         // nothing more will be said of that message

	// Collision comes with misrouted: the node holds another device that has the hash of
	// the one addressee, so the entry that led to it is right.
	Collision bool
}

// The first byte of an entry.
const (
	outcomesFinal     = 1
	outcomesCounts    = 2
	outcomesOne       = 4 // one device without a name: its outcome follows and that is all
	outcomesCollision = 8
)

// deviceOutcomeBytesMin is the least that a listed device takes.
const deviceOutcomeBytesMin = 2

// SizeMax returns an upper bound of what AppendOutcomes appends.
func (o *Outcomes) SizeMax() int {
	n := 1 + 8 + 5 + 3 + 5*session.OutcomeCount
	for i := range o.Devices {
		n += 3 + len(o.Devices[i].Device)
	}
	return n
}

// AppendOutcomes appends one entry of an outcomes frame.
func AppendOutcomes(dst []byte, o *Outcomes) []byte {
	var first byte
	if o.Final {
		first = outcomesFinal
	}
	if o.Collision {
		first |= outcomesCollision
	}
	var counted uint64 // a bit for each outcome with a count
	for i, n := range o.Counts {
		if n > 0 {
			counted |= 1 << i
		}
	}
	if counted != 0 {
		first |= outcomesCounts
	}
	one := len(o.Devices) == 1 && o.Devices[0].Device == "" && counted == 0
	if one {
		first |= outcomesOne
	}
	dst = append(dst, first)
	dst = binary.BigEndian.AppendUint64(dst, o.Ref)
	if one {
		return append(dst, byte(o.Devices[0].Outcome))
	}
	dst = binary.AppendUvarint(dst, uint64(len(o.Devices)))
	for i := range o.Devices {
		d := &o.Devices[i]
		dst = appendText(append(dst, byte(d.Outcome)), d.Device)
	}
	if counted != 0 {
		dst = binary.AppendUvarint(dst, counted)
		for ; counted != 0; counted &= counted - 1 {
			dst = binary.AppendUvarint(dst, uint64(o.Counts[bits.TrailingZeros64(counted)]))
		}
	}
	return dst
}

// ParseOutcomes reads the first entry of an outcomes frame's body and returns the
// rest. An error is an *Error.
func ParseOutcomes(b []byte, o *Outcomes) (rest []byte, err error) {
	r := linkBody{b: b}
	first := r.byte("flags")
	o.Ref = r.uint64("ref")
	o.Final, o.Collision = first&outcomesFinal != 0, first&outcomesCollision != 0
	o.Devices, o.Counts = o.Devices[:0], [session.OutcomeCount]uint32{}
	switch {
	case r.err != nil:
	case first&^(outcomesFinal|outcomesCounts|outcomesOne|outcomesCollision) != 0 || first&(outcomesCounts|outcomesOne) == outcomesCounts|outcomesOne:
		r.fail(CodeValue, fmt.Sprintf("flags %#02x", first))
	case first&outcomesOne != 0:
		o.Devices = append(o.Devices, DeviceOutcome{Outcome: r.outcome()})
	default:
		o.parseDevices(&r)
		if first&outcomesCounts != 0 {
			o.parseCounts(&r)
		} else if len(o.Devices) == 1 && o.Devices[0].Device == "" {
			r.fail(CodeValue, "one device without a name has a shorter form")
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	return b[r.at:], nil
}

func (o *Outcomes) parseDevices(r *linkBody) {
	n := int(r.bounded("devices", OutcomesListedMax))
	if n*deviceOutcomeBytesMin > r.left() {
		r.fail(CodeTruncated, "devices")
		return
	}
	for range n {
		d := DeviceOutcome{Outcome: r.outcome()}
		d.Device = r.name("device")
		o.Devices = append(o.Devices, d)
	}
}

func (o *Outcomes) parseCounts(r *linkBody) {
	counted := r.bounded("counted outcomes", 1<<session.OutcomeCount-1)
	if counted == 0 {
		r.fail(CodeValue, "counts of nothing")
	}
	for ; counted != 0; counted &= counted - 1 {
		n := r.bounded("count", 1<<32-1)
		if n == 0 {
			r.fail(CodeValue, "a count of 0")
			return
		}
		o.Counts[bits.TrailingZeros64(counted)] = uint32(n)
	}
}

func (r *linkBody) outcome() session.Outcome {
	o := session.Outcome(r.byte("outcome"))
	if int(o) >= session.OutcomeCount {
		r.fail(CodeValue, fmt.Sprintf("outcome %d", o))
		return session.Pending
	}
	return o
}

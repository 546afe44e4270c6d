package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/roostpush/roost/session"
)

// LinkChannel says what a connection between two nodes is for.
type LinkChannel uint8

// The channels. A link is two connections, so that a bulky snapshot never delays a
// push.
const (
	ChannelControl  LinkChannel = 1 + iota // deltas, heads, log requests, snapshots, questions, answers
	ChannelMessages                        // forward, outcomes
	ChannelAsk                             // who is there? It is answered by a hello and closed

	linkChannels
)

// String returns the channel's name in logs.
func (c LinkChannel) String() string {
	switch c {
	case ChannelControl:
		return "control"
	case ChannelMessages:
		return "messages"
	case ChannelAsk:
		return "ask"
	}
	return "invalid"
}

// The limits of a hello.
const (
	ClusterBytesMax = 64
	// AddrBytesMax has room for a host name (RFC 1035 section 2.3.4) and no port, or
	// any IP address with one.
	AddrBytesMax = 255
	// HelloBytesMax bounds the frame of a hello or goodbye, with room for what newer
	// versions add.
	HelloBytesMax = 2 << 10
)

// LinkHello is how a node introduces itself on each connection. The strings of a
// parsed one are its own.
type LinkHello struct {
	Major, Minor   uint16
	Channel        LinkChannel
	Pair           uint64 // drawn by the dialler: the connections of one link share it
	Cluster        string
	Node           string
	Epoch          uint64
	KeyFingerprint [8]byte // of the cluster's hash_key
	FrameBytesMax  uint32  // of a frame, header included, that the sender of the hello takes
	Addr           string  // where the sender takes connections from nodes; empty: not said

	// Challenge is drawn by who answers the hello of a control connection, and repeated in
	// the hello of the messages connection: what was recorded from another link does not.
	Challenge uint64
}

// Origin is the node that says hello.
func (h *LinkHello) Origin() session.Origin { return session.Origin{Node: h.Node, Epoch: h.Epoch} }

// AppendLinkHello appends the body of a hello.
func AppendLinkHello(dst []byte, h *LinkHello) []byte {
	dst = binary.BigEndian.AppendUint16(dst, h.Major)
	dst = binary.BigEndian.AppendUint16(dst, h.Minor)
	dst = append(dst, byte(h.Channel))
	dst = binary.BigEndian.AppendUint64(dst, h.Pair)
	dst = binary.BigEndian.AppendUint64(dst, h.Epoch)
	dst = append(dst, h.KeyFingerprint[:]...)
	dst = binary.BigEndian.AppendUint32(dst, h.FrameBytesMax)
	dst = appendName8(dst, h.Cluster)
	dst = appendName8(dst, h.Node)
	dst = appendName8(dst, h.Addr)
	return binary.BigEndian.AppendUint64(dst, h.Challenge)
}

// ParseLinkHello reads the body of a hello. Of another major version it understands
// Major and Minor only, and says nothing of the rest. An error is an *Error.
func ParseLinkHello(b []byte, h *LinkHello) error {
	*h = LinkHello{}
	r := linkBody{b: b}
	if v := r.take(4, "version"); v != nil {
		h.Major, h.Minor = binary.BigEndian.Uint16(v), binary.BigEndian.Uint16(v[2:])
	}
	if r.err != nil || h.Major != LinkMajor {
		return r.result()
	}
	h.Channel = LinkChannel(r.byte("channel"))
	h.Pair = r.uint64("pair")
	h.Epoch = r.uint64("epoch")
	copy(h.KeyFingerprint[:], r.take(8, "key fingerprint"))
	if v := r.take(4, "frame bytes"); v != nil {
		h.FrameBytesMax = binary.BigEndian.Uint32(v)
	}
	h.Cluster = string(r.take(int(r.byte("cluster")), "cluster"))
	h.Node = string(r.take(int(r.byte("node")), "node"))
	h.Addr = string(r.take(int(r.byte("addr")), "addr"))
	h.Challenge = r.uint64("challenge")
	if r.err != nil {
		return r.err
	}
	return h.check(&r)
}

func (h *LinkHello) check(r *linkBody) error {
	if h.Channel == 0 || h.Channel >= linkChannels {
		r.fail(CodeValue, fmt.Sprintf("channel %d", h.Channel))
	}
	if err := CheckCluster(h.Cluster); err != nil {
		r.fail(CodeValue, err.Error())
	}
	if err := session.CheckNode(h.Node); err != nil {
		r.fail(CodeValue, err.Error())
	}
	if h.FrameBytesMax < HelloBytesMax {
		r.fail(CodeValue, fmt.Sprintf("frames of %d bytes are all it takes", h.FrameBytesMax))
	}
	if !isPrintable(h.Addr) {
		r.fail(CodeValue, "addr is not printable ASCII")
	}
	return r.result()
}

// CheckCluster reports what is wrong with the name of a cluster: 1 to 64 bytes of
// printable ASCII without spaces.
func CheckCluster(s string) error {
	if s == "" || len(s) > ClusterBytesMax {
		return fmt.Errorf("cluster name is %d bytes long, 1 to %d are allowed", len(s), ClusterBytesMax)
	}
	if !isPrintable(s) {
		return fmt.Errorf("cluster name %q: only printable ASCII without spaces is allowed", s)
	}
	return nil
}

func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

package gossip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/memberlist"

	"github.com/roostpush/roost/session"
)

// versionMajor is that of everything this package writes. A node of another major
// version is refused; minor additions are appended and skipped by who does not know them.
const versionMajor = 1

// EpochMax bounds an epoch: a node starts a few times a day, so what is beyond is an
// error or an attack, and would leave its node no higher epoch to take.
const EpochMax = 1 << 48

// addrBytesMax bounds an address, so that three fit into memberlist's 512 bytes.
const addrBytesMax = 150

var errMeta = errors.New("gossip: what it says of itself cannot be read")

// name is what memberlist calls the process. Another epoch is another member to it: it
// would refuse the same name with a new address for as long as it believes the old one
// alive, and would mix up what is said of the two.
func name(o session.Origin) string { return o.Node + "#" + strconv.FormatUint(o.Epoch, 36) }

func parseName(s string) (o session.Origin, err error) {
	node, epoch, found := strings.Cut(s, "#")
	if !found || session.CheckNode(node) != nil {
		return o, fmt.Errorf("gossip: %.64q is no member's name", s)
	}
	e, err := strconv.ParseUint(epoch, 36, 64)
	if err != nil || checkEpoch(e) != nil || epoch != strconv.FormatUint(e, 36) {
		return o, fmt.Errorf("gossip: %.64q has no epoch", s)
	}
	return session.Origin{Node: node, Epoch: e}, nil
}

func checkEpoch(e uint64) error {
	if e == 0 || e > EpochMax {
		return fmt.Errorf("epoch is %d: 1 to %d are allowed", e, uint64(EpochMax))
	}
	return nil
}

// Bits of the flags byte.
const metaProcessor = 1 << 0

// appendMeta appends what is gossiped of m beside its name and gossip address:
//
//	uvarint  versionMajor
//	byte     state
//	byte     flags
//	text × 3 addresses: peer, internal, public
//
// and whatever a later minor version appends.
func appendMeta(dst []byte, m Member) []byte {
	dst = binary.AppendUvarint(dst, versionMajor)
	var flags byte
	if m.Processor {
		flags |= metaProcessor
	}
	dst = append(dst, byte(m.State), flags)
	for _, a := range [...]string{m.PeerAddr, m.InternalAddr, m.PublicAddr} {
		dst = appendText(dst, a)
	}
	return dst
}

// parseMember reads what memberlist knows of a node. Everything in it came from a
// stranger; the error is a *RefusedError when it is another version's.
func parseMember(n *memberlist.Node) (m Member, err error) {
	o, err := parseName(n.Name)
	if err != nil {
		return m, err
	}
	ip, ok := netip.AddrFromSlice(n.Addr)
	if !ok || n.Port == 0 {
		return m, fmt.Errorf("gossip: %s has no address", n.Name)
	}
	m = Member{Node: o.Node, Epoch: o.Epoch, GossipAddr: netip.AddrPortFrom(ip.Unmap(), n.Port).String()}
	s := scanner{rest: n.Meta}
	if v := s.uvarint(); !s.bad && v != versionMajor {
		return m, &RefusedError{Why: RefusedVersion, Addr: m.GossipAddr, Node: m.Node, Detail: versionDetail(v)}
	}
	m.State = State(s.byte())
	m.Processor = s.byte()&metaProcessor != 0
	for _, a := range [...]*string{&m.PeerAddr, &m.InternalAddr, &m.PublicAddr} {
		*a = s.text(addrBytesMax)
		if !isPlain(*a) {
			s.fail()
		}
	}
	if s.bad {
		return m, errMeta
	}
	if m.State >= stateCount { // a later version's: whoever does not know it must not send devices there
		m.State = Draining
	}
	return m, nil
}

// isPlain reports whether s may be shown and dialled: printable, no spaces.
func isPlain(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f })
}

// check reports what is wrong with a member that is to be announced.
func (m Member) check() error {
	if err := session.CheckNode(m.Node); err != nil {
		return err
	}
	if err := checkEpoch(m.Epoch); err != nil {
		return err
	}
	if m.PeerAddr == "" {
		return errors.New("the peer address is missing")
	}
	if m.State >= stateCount {
		return fmt.Errorf("state is %d: it is unknown", m.State)
	}
	for _, a := range [...]string{m.PeerAddr, m.InternalAddr, m.PublicAddr} {
		if len(a) > addrBytesMax || !isPlain(a) {
			return fmt.Errorf("address %.64q: at most %d bytes without spaces are allowed", a, addrBytesMax)
		}
	}
	return nil
}

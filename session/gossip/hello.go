package gossip

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/roostpush/roost/session"
)

// The hello opens every TCP stream, before memberlist's own bytes:
//
//	frame    = "rgos" uint16(length) body
//	question = uvarint(major) text(cluster) byte(sealed) rest
//	  rest   = nonce(16) byte(purpose) text(node) uvarint(epoch) text(gossip address)
//	answer   = byte(verdict) byte(sealed) rest
//	  welcome: rest = nonce(16) text(node) uvarint(epoch) byte(flags)
//	                  uvarint(known) text(holder's address)
//	  refused: rest = text(node) uvarint(known) text(detail), never sealed
//
// With keys, rest is sealed with AES-GCM under the first key, and what stands before it
// is authenticated. The nonce of the question comes back in the answer, so that an
// answer cannot be replayed. A refusal is in the clear, because the two may have no key
// in common: whoever can forge it could also cut the connection.

const (
	helloMagic      = "rgos"
	helloBytesMax   = 1024
	helloNonceBytes = 16
	detailBytesMax  = 300
)

// purpose is why a connection was made.
type purpose byte

const (
	purposeAsk     purpose = iota // to be told what is known; the connection ends with the answer
	purposeStream                 // memberlist's bytes follow
	purposeGoodbye                // the caller is about to leave

	purposeCount
)

type question struct {
	cluster string
	nonce   [helloNonceBytes]byte
	purpose purpose
	from    session.Origin // epoch 0: not decided yet
	addr    string         // the caller's gossip address; empty: it has none yet
}

// answer says who answers and what it knows of the caller's id.
type answer struct {
	nonce    [helloNonceBytes]byte
	who      session.Origin
	starting bool   // it has not announced itself yet
	leaving  bool   // it has said that it goes
	known    uint64 // the highest epoch of the caller's node; 0: none
	holder   string // gossip address of the live member with the caller's id; empty: there is none
}

const (
	flagStarting = 1 << 0
	flagLeaving  = 1 << 1
)

// verdictWelcome is the first byte of an answer that is no refusal; the others are
// 1 + Refusal.
const verdictWelcome = 0

var (
	errHello      = errors.New("gossip: what came is no hello")
	errNoKeyOpens = errors.New("gossip: no key opens it")
)

// box seals and opens with the keys; without any it does neither.
type box struct{ keys [][]byte }

func gcm(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // parseKeys lets no such key pass
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return aead
}

// seal appends rest to head, which it authenticates, behind the byte that says whether
// it is sealed.
func (b box) seal(head, rest []byte) []byte {
	if len(b.keys) == 0 {
		return append(append(head, 0), rest...)
	}
	head = append(head, 1)
	return gcm(b.keys[0]).Seal(head, nil, rest, head)
}

// open returns what seal was given as rest. head is what precedes it, the byte included.
func (b box) open(head, sealed []byte) ([]byte, error) {
	switch {
	case head[len(head)-1] == 0 && len(b.keys) == 0:
		return sealed, nil
	case head[len(head)-1] == 0:
		return nil, errors.New("gossip: it is not encrypted, and keys are configured here")
	case len(b.keys) == 0:
		return nil, errors.New("gossip: it is encrypted, and no keys are configured here")
	}
	for _, key := range b.keys {
		if rest, err := gcm(key).Open(nil, nil, sealed, head); err == nil {
			return rest, nil
		}
	}
	return nil, errNoKeyOpens
}

func (b box) appendQuestion(dst []byte, q question) []byte {
	head := binary.AppendUvarint(nil, versionMajor)
	head = appendText(head, q.cluster)
	rest := append(q.nonce[:], byte(q.purpose))
	rest = appendText(rest, q.from.Node)
	rest = binary.AppendUvarint(rest, q.from.Epoch)
	rest = appendText(rest, q.addr)
	return appendFrame(dst, b.seal(head, rest))
}

// parseQuestion reads the body of a question that is to this cluster. The error is a
// *RefusedError where it can be read and does not fit; q is then what is known of it.
func (b box) parseQuestion(body []byte, cluster string) (q question, err error) {
	s := scanner{rest: body}
	major := s.uvarint()
	q.cluster = s.text(255)
	s.byte()
	if s.bad || !isPlain(q.cluster) {
		return q, errHello
	}
	if major != versionMajor {
		return q, &RefusedError{Why: RefusedVersion, Detail: versionDetail(major)}
	}
	if q.cluster != cluster {
		return q, &RefusedError{Why: RefusedCluster, Detail: fmt.Sprintf("cluster %q is not cluster %q", q.cluster, cluster)}
	}
	rest, err := b.open(body[:len(body)-len(s.rest)], s.rest)
	if err != nil {
		return q, &RefusedError{Why: RefusedKeys, Detail: err.Error()[len("gossip: "):]}
	}
	s = scanner{rest: rest}
	copy(q.nonce[:], s.bytes(helloNonceBytes))
	q.purpose = purpose(s.byte())
	q.from.Node = s.text(session.NodeBytesMax)
	q.from.Epoch = s.uvarint()
	q.addr = s.text(addrBytesMax)
	switch {
	case s.bad || q.purpose >= purposeCount || !isPlain(q.addr):
		return q, &RefusedError{Why: RefusedMalformed, Detail: "the hello cannot be read"}
	case session.CheckNode(q.from.Node) != nil:
		return q, &RefusedError{Why: RefusedMalformed, Detail: session.CheckNode(q.from.Node).Error()}
	case q.from.Epoch > EpochMax || q.from.Epoch == 0 && q.purpose != purposeAsk:
		return q, &RefusedError{Why: RefusedMalformed, Detail: checkEpoch(q.from.Epoch).Error()}
	}
	return q, nil
}

func (b box) appendWelcome(dst []byte, a answer) []byte {
	rest := appendText(a.nonce[:], a.who.Node)
	rest = binary.AppendUvarint(rest, a.who.Epoch)
	var flags byte
	if a.starting {
		flags |= flagStarting
	}
	if a.leaving {
		flags |= flagLeaving
	}
	rest = append(rest, flags)
	rest = binary.AppendUvarint(rest, a.known)
	rest = appendText(rest, a.holder)
	return appendFrame(dst, b.seal([]byte{verdictWelcome}, rest))
}

func appendRefusal(dst []byte, node string, r *RefusedError) []byte {
	body := []byte{1 + byte(r.Why), 0}
	body = appendText(body, node)
	body = binary.AppendUvarint(body, r.Known)
	body = appendText(body, r.Detail[:min(len(r.Detail), detailBytesMax)])
	return appendFrame(dst, body)
}

// parseAnswer reads the body of an answer to the question with that nonce. A refusal is
// returned as a *RefusedError.
func (b box) parseAnswer(body []byte, nonce [helloNonceBytes]byte) (a answer, err error) {
	s := scanner{rest: body}
	verdict := s.byte()
	s.byte()
	if s.bad {
		return a, errHello
	}
	if verdict != verdictWelcome {
		r := &RefusedError{Why: Refusal(verdict - 1), Node: s.text(session.NodeBytesMax), Known: s.uvarint(), Detail: s.text(detailBytesMax)}
		if s.bad || r.Why >= refusalCount || session.CheckNode(r.Node) != nil {
			return a, errHello
		}
		r.Detail = printable(r.Detail)
		return a, r
	}
	rest, err := b.open(body[:2], s.rest)
	if err != nil {
		return a, &RefusedError{Why: RefusedKeys, Detail: "its answer: " + err.Error()[len("gossip: "):]}
	}
	s = scanner{rest: rest}
	copy(a.nonce[:], s.bytes(helloNonceBytes))
	a.who.Node = s.text(session.NodeBytesMax)
	a.who.Epoch = s.uvarint()
	flags := s.byte()
	a.starting, a.leaving = flags&flagStarting != 0, flags&flagLeaving != 0
	a.known = s.uvarint()
	a.holder = s.text(addrBytesMax)
	if s.bad || a.nonce != nonce || session.CheckNode(a.who.Node) != nil || checkEpoch(a.who.Epoch) != nil || a.known > EpochMax || !isPlain(a.holder) {
		return answer{}, errHello
	}
	return a, nil
}

// printable makes a stranger's text fit for a log.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}

func appendFrame(dst, body []byte) []byte {
	dst = append(dst, helloMagic...)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(body)))
	return append(dst, body...)
}

// readFrame returns the body of a frame and reads no byte beyond it.
func readFrame(r io.Reader) ([]byte, error) {
	var head [len(helloMagic) + 2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint16(head[len(helloMagic):])
	if string(head[:len(helloMagic)]) != helloMagic || n > helloBytesMax {
		return nil, errHello
	}
	body := make([]byte, n)
	_, err := io.ReadFull(r, body)
	return body, err
}

func newNonce() (n [helloNonceBytes]byte) {
	_, _ = rand.Read(n[:]) // never fails, says its documentation
	return n
}

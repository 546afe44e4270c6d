package auth

import (
	"bytes"
	"encoding/base64"
	"unicode/utf8"
)

// algorithm is one of the signature algorithms of RFC 7518 section 3 and RFC 8037
// that this package knows.
type algorithm uint8

const (
	hs256 algorithm = iota
	rs256
	es256
	eddsa
	algorithms // count
)

var algorithmNames = [algorithms]string{"HS256", "RS256", "ES256", "EdDSA"}

func (a algorithm) String() string { return algorithmNames[a] }

// parseAlgorithm compares exactly: "none", "NONE" and "hs256" are all unknown.
func parseAlgorithm(name []byte) (algorithm, bool) {
	for a, known := range algorithmNames {
		if string(name) == known {
			return algorithm(a), true
		}
	}
	return 0, false
}

// base64url is strict, so that one signed text has one spelling. It still passes
// over line breaks; parse refuses those first.
var base64url = base64.RawURLEncoding.Strict()

// token is a parsed token whose signature has not been checked. All slices are
// borrowed from the token or from the scratch space.
type token struct {
	input     []byte // what the signature covers: header.payload
	alg       algorithm
	kid       []byte // nil: the header names no key
	payload   []byte // decoded
	signature []byte // decoded
}

// scratch is the space for one token at a time.
type scratch struct {
	decoded []byte // header, payload and signature, one after the other
	sum     []byte // a MAC
	names   []byte // the claims' strings, before they become one string
	ends    []int  // where each of the topics ends in names
}

// parse takes the token apart (RFC 7515 section 5.2 steps 1-6) and checks that its
// algorithm is allowed. HOT PATH: nothing is allocated unless the token is refused.
func (v *Verifier) parse(s *scratch, raw []byte) (t token, err error) {
	if len(raw) > v.cfg.TokenBytesMax {
		return t, ErrTooLong.because("it has %d bytes, at most %d are allowed", len(raw), v.cfg.TokenBytesMax)
	}
	if len(raw) == 0 {
		return t, ErrMalformed.because("it is empty")
	}
	if bytes.IndexByte(raw, '\n') >= 0 || bytes.IndexByte(raw, '\r') >= 0 {
		return t, ErrMalformed.because("it holds a line break")
	}
	one := bytes.IndexByte(raw, '.')
	two := bytes.LastIndexByte(raw, '.')
	if one == two || bytes.IndexByte(raw[one+1:two], '.') >= 0 {
		return t, ErrMalformed.because("it has %d parts instead of header.payload.signature", bytes.Count(raw, []byte{'.'})+1)
	}
	t.input = raw[:two]
	s.decoded = s.decoded[:0]
	header, ok := s.decode(raw[:one])
	if !ok {
		return t, ErrMalformed.because("the header is not unpadded base64url")
	}
	if t.payload, ok = s.decode(raw[one+1 : two]); !ok {
		return t, ErrMalformed.because("the payload is not unpadded base64url")
	}
	if t.signature, ok = s.decode(raw[two+1:]); !ok {
		return t, ErrMalformed.because("the signature is not unpadded base64url")
	}
	return t, v.readHeader(header, &t)
}

// decode appends to the scratch space, which newScratch has made large enough for any
// token that is not too long: earlier parts never move.
func (s *scratch) decode(part []byte) ([]byte, bool) {
	from := len(s.decoded)
	space := s.decoded[from : from+base64url.DecodedLen(len(part))]
	n, err := base64url.Decode(space, part)
	s.decoded = s.decoded[:from+n]
	return space[:n], err == nil
}

// readHeader reads the members that matter (RFC 7515 section 4.1). crit is refused
// whatever it lists, since no extension is understood (section 4.1.11); jku, jwk, x5u and
// x5c are never looked at, since a token must not bring its own key.
func (v *Verifier) readHeader(header []byte, t *token) error {
	if !utf8.Valid(header) {
		return ErrMalformed.because("the header is not UTF-8")
	}
	var alg []byte
	var seenAlg, seenKid bool
	s := scanner{b: header, depth: v.cfg.DepthMax}
	s.begin()
	for name, more := s.member(); more; name, more = s.member() {
		switch string(name) {
		case "alg":
			s.once(&seenAlg, "alg stands twice")
			alg, _ = s.text("alg is not a string")
		case "kid":
			s.once(&seenKid, "kid stands twice")
			t.kid, _ = s.text("kid is not a string")
		case "crit":
			s.fail("crit asks for extensions, and none is understood")
		default:
			s.value()
		}
	}
	if !s.end() {
		return ErrMalformed.because("header: %s", s.why)
	}
	if !seenAlg {
		return ErrMalformed.because("header: alg is missing")
	}
	var known bool
	if t.alg, known = parseAlgorithm(alg); !known || !v.allowed[t.alg] {
		return ErrAlgorithm.because("algorithm %s is not among the allowed %s", excerpt(alg), v.allowedNames)
	}
	return nil
}

// once fails if the member was seen before: RFC 7519 section 4 lets a reader refuse
// what two readers could read differently.
func (s *scanner) once(seen *bool, why string) {
	if *seen {
		s.fail(why)
	}
	*seen = true
}

package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"
	"sync"

	"github.com/golang-jwt/jwt/v5"
)

// What makes a key too weak, or too costly to use.
const (
	secretBytesMin = 32   // RFC 7518 section 3.2: as long as the hash's output
	rsaBitsMin     = 2048 // RFC 7518 section 3.3
	rsaBitsMax     = 8192 // a verification costs 16 times one of 2048 bits
)

// methods verify public-key signatures; HS256 is done by hand, in mac.
var methods = [algorithms]jwt.SigningMethod{
	rs256: jwt.SigningMethodRS256,
	es256: jwt.SigningMethodES256,
	eddsa: jwt.SigningMethodEdDSA,
}

// key verifies the tokens of one algorithm, for ever the same one: there is no way to
// use a public key as a secret.
type key struct {
	id     string // kid; empty: the file names none
	alg    algorithm
	public any       // *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
	macs   sync.Pool // of hash.Hash keyed with the secret; hs256 only
}

// newSecret returns a HS256 key; the secret is kept.
func newSecret(id string, secret []byte) (*key, error) {
	if len(secret) < secretBytesMin {
		return nil, fmt.Errorf("the HS256 secret has %d bytes: it is weak, use %d or more random ones", len(secret), secretBytesMin)
	}
	k := &key{id: id, alg: hs256}
	k.macs.New = func() any { return hmac.New(sha256.New, secret) }
	return k, nil
}

// errUnsupported says that a key is right but of no use here: it is skipped.
var errUnsupported = errors.New("not supported")

// newPublic returns a key for the one algorithm that its type allows.
func newPublic(id string, public any) (*key, error) {
	switch p := public.(type) {
	case *rsa.PublicKey:
		return &key{id: id, alg: rs256, public: p}, checkRSA(p)
	case *ecdsa.PublicKey:
		if p.Curve != elliptic.P256() {
			return nil, fmt.Errorf("%w: curve %s (only P-256 is)", errUnsupported, p.Params().Name)
		}
		return &key{id: id, alg: es256, public: p}, nil
	case ed25519.PublicKey:
		return &key{id: id, alg: eddsa, public: p}, nil
	}
	return nil, fmt.Errorf("%w: key type %T", errUnsupported, public)
}

func checkRSA(p *rsa.PublicKey) error {
	bits := p.N.BitLen()
	switch {
	case bits < rsaBitsMin:
		return fmt.Errorf("the RSA key has %d bits: it is weak, use %d or more", bits, rsaBitsMin)
	case bits > rsaBitsMax:
		return fmt.Errorf("the RSA key has %d bits: at most %d are taken, since checking a token would cost too much", bits, rsaBitsMax)
	}
	// A key that cannot verify at all is found now rather than with the first token.
	sum := sha256.Sum256(nil)
	if err := rsa.VerifyPKCS1v15(p, crypto.SHA256, sum[:], make([]byte, p.Size())); !errors.Is(err, rsa.ErrVerification) {
		return fmt.Errorf("the RSA key cannot be used: %v", err)
	}
	return nil
}

// mac appends the HMAC-SHA256 of input (RFC 7518 section 3.2).
func (k *key) mac(dst, input []byte) []byte {
	h := k.macs.Get().(hash.Hash)
	h.Reset()
	h.Write(input)
	dst = h.Sum(dst)
	k.macs.Put(h)
	return dst
}

// keyring is the keys of one version of the file, with the verdicts reached by them.
// It does not change, except for the cache.
type keyring struct {
	keys      [algorithms][]*key // sorted by id, so that those without one come first
	trialsMax int
	cache     *cache
}

func newKeyring(keys []*key, cfg *Config) *keyring {
	r := &keyring{trialsMax: cfg.TrialKeysMax, cache: newCache(cfg.CacheEntriesMax)}
	for _, k := range keys {
		r.keys[k.alg] = append(r.keys[k.alg], k)
	}
	for _, same := range r.keys {
		slices.SortStableFunc(same, func(a, b *key) int { return strings.Compare(a.id, b.id) })
	}
	return r
}

func (r *keyring) count() (n int) {
	for _, same := range r.keys {
		n += len(same)
	}
	return n
}

// pick returns the keys to try: of the algorithm, those that kid names; if it names
// none, those without a name, since PEM cannot carry one; without kid, all. HOT PATH.
func (r *keyring) pick(alg algorithm, kid []byte) ([]*key, error) {
	keys := r.keys[alg]
	if len(keys) == 0 {
		return nil, ErrKey.because("there is no %v key", alg)
	}
	if len(kid) > 0 {
		named := withID(keys, kid)
		if len(named) == 0 {
			named = withID(keys, nil)
		}
		if keys = named; len(keys) == 0 {
			return nil, ErrKey.because("kid %s names no %v key", excerpt(kid), alg)
		}
	}
	if len(keys) > r.trialsMax {
		return nil, ErrKey.because("%d %v keys could have signed it, at most %d are tried: name one with kid", len(keys), alg, r.trialsMax)
	}
	return keys, nil
}

// withID returns the neighbours in keys that have the id.
func withID(keys []*key, id []byte) []*key {
	for i, k := range keys {
		if k.id == string(id) {
			end := i + 1
			for end < len(keys) && keys[end].id == k.id {
				end++
			}
			return keys[i:end]
		}
	}
	return nil
}

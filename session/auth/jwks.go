package auth

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// jwk is one key of a JWKS (RFC 7517, RFC 7518 section 6, RFC 8037 section 2).
type jwk struct {
	Kty string   `json:"kty"`
	Use string   `json:"use,omitempty"`
	Ops []string `json:"key_ops,omitempty"`
	Alg string   `json:"alg,omitempty"`
	Kid string   `json:"kid,omitempty"`
	Crv string   `json:"crv,omitempty"`
	N   string   `json:"n,omitempty"`
	E   string   `json:"e,omitempty"`
	X   string   `json:"x,omitempty"`
	Y   string   `json:"y,omitempty"`
	K   string   `json:"k,omitempty"`
	D   string   `json:"d,omitempty"` // private; never read, only warned of
}

// parsedKeys is what a file held: keys, and remarks for the log.
type parsedKeys struct {
	keys    []*key
	remarks []string
}

func (p *parsedKeys) remark(format string, args ...any) {
	p.remarks = append(p.remarks, fmt.Sprintf(format, args...))
}

// parseKeys reads a JWKS, a single JWK, or PEM. A key that is malformed or weak is an
// error, one that is of no use here is skipped with a remark: the first is a mistake, the
// second is usual in a JWKS made for several readers.
func parseKeys(file []byte, cfg *Config) (p parsedKeys, err error) {
	switch text := bytes.TrimSpace(file); {
	case len(text) == 0:
		return p, errors.New("it is empty")
	case text[0] == '{':
		err = p.readJWKS(text, cfg.KeysMax)
	case bytes.Contains(text, []byte(pemBegin)):
		err = p.readPEM(text, cfg.KeysMax)
	default:
		err = errors.New("it is neither a JWKS (JSON) nor PEM")
	}
	if err != nil {
		return parsedKeys{}, err
	}
	p.keys = slices.DeleteFunc(p.keys, func(k *key) bool {
		unwanted := !slices.Contains(cfg.Algorithms, k.alg.String())
		if unwanted {
			p.remark("a key is skipped: %v is not in algorithms", k.alg)
		}
		return unwanted
	})
	if len(p.keys) == 0 {
		return parsedKeys{}, fmt.Errorf("it has no usable key (%d skipped: %q)", len(p.remarks), p.remarks)
	}
	for _, k := range p.keys {
		if n := len(withSame(p.keys, k)); k.id == "" && n > cfg.TrialKeysMax {
			p.remark("%d %v keys have no kid, at most %d are tried: give each a kid", n, k.alg, cfg.TrialKeysMax)
			break
		}
	}
	return p, nil
}

func withSame(keys []*key, like *key) (same []*key) {
	for _, k := range keys {
		if k.alg == like.alg && k.id == like.id {
			same = append(same, k)
		}
	}
	return same
}

func (p *parsedKeys) readJWKS(text []byte, most int) error {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
		Kty  string            `json:"kty"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return fmt.Errorf("it is not whole JSON: %w", err)
	}
	if set.Keys == nil {
		if set.Kty == "" {
			return errors.New(`it is JSON without "keys": a JWKS is {"keys":[…]}`)
		}
		set.Keys = []json.RawMessage{text}
	}
	if len(set.Keys) > most {
		return fmt.Errorf("it has %d keys, at most %d are allowed", len(set.Keys), most)
	}
	for i, raw := range set.Keys {
		var j jwk
		if err := json.Unmarshal(raw, &j); err != nil {
			return fmt.Errorf("key %d: %w", i+1, err)
		}
		k, err := j.key()
		switch {
		case errors.Is(err, errUnsupported):
			p.remark("key %d (kid %q) is skipped: %v", i+1, j.Kid, err)
			continue
		case err != nil:
			return fmt.Errorf("key %d (kid %q): %w", i+1, j.Kid, err)
		}
		if j.D != "" {
			p.remark("key %d (kid %q) holds its private part: a node needs the public part only", i+1, j.Kid)
		}
		p.keys = append(p.keys, k)
	}
	return nil
}

// key makes a key for the one algorithm that kty and crv allow; use, key_ops and alg
// may forbid it.
func (j *jwk) key() (*key, error) {
	if j.Use != "" && j.Use != "sig" {
		return nil, fmt.Errorf("%w: use is %q, not sig", errUnsupported, j.Use)
	}
	if j.Ops != nil && !slices.Contains(j.Ops, "verify") {
		return nil, fmt.Errorf("%w: key_ops is %q, without verify", errUnsupported, j.Ops)
	}
	var serves algorithm
	switch j.Kty {
	case "oct":
		serves = hs256
	case "RSA":
		serves = rs256
	case "EC":
		if serves = es256; j.Crv != "P-256" {
			return nil, fmt.Errorf("%w: crv %q (only P-256 is)", errUnsupported, j.Crv)
		}
	case "OKP":
		if serves = eddsa; j.Crv != "Ed25519" {
			return nil, fmt.Errorf("%w: crv %q (only Ed25519 is)", errUnsupported, j.Crv)
		}
	case "":
		return nil, errors.New("kty is missing")
	default:
		return nil, fmt.Errorf("%w: kty %q", errUnsupported, j.Kty)
	}
	if j.Alg != "" && j.Alg != serves.String() {
		return nil, fmt.Errorf("%w: alg is %q (%v is what this kty can do here)", errUnsupported, j.Alg, serves)
	}
	if serves == hs256 {
		secret, err := member("k", j.K, 0)
		if err != nil {
			return nil, err
		}
		return newSecret(j.Kid, secret)
	}
	public, err := j.public(serves)
	if err != nil {
		return nil, err
	}
	return newPublic(j.Kid, public)
}

func (j *jwk) public(serves algorithm) (any, error) {
	switch serves {
	case rs256:
		n, err := member("n", j.N, 0)
		if err != nil {
			return nil, err
		}
		e, err := member("e", j.E, 0)
		if err != nil {
			return nil, err
		}
		exponent := new(big.Int).SetBytes(e)
		if exponent.BitLen() > 31 || exponent.Bit(0) == 0 || exponent.BitLen() < 2 {
			return nil, fmt.Errorf("e is no RSA exponent: it is odd, from 3 to 2^31-1")
		}
		return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent.Int64())}, nil
	case es256:
		x, err := member("x", j.X, 32)
		if err != nil {
			return nil, err
		}
		y, err := member("y", j.Y, 32)
		if err != nil {
			return nil, err
		}
		point := append(append([]byte{4}, x...), y...)
		public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
		if err != nil {
			return nil, fmt.Errorf("x and y are no point of P-256: %w", err)
		}
		return public, nil
	}
	x, err := member("x", j.X, ed25519.PublicKeySize)
	return ed25519.PublicKey(x), err
}

// member decodes one member of a JWK; size 0 is any but none.
func member(name, text string, size int) ([]byte, error) {
	b, err := base64url.DecodeString(text)
	switch {
	case text == "":
		return nil, fmt.Errorf("%s is missing", name)
	case err != nil:
		return nil, fmt.Errorf("%s is not unpadded base64url", name)
	case size != 0 && len(b) != size:
		return nil, fmt.Errorf("%s has %d bytes instead of %d", name, len(b), size)
	}
	return b, nil
}

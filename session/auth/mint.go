package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/roostpush/roost/session"
)

// Grant is what a token is to say: the development token of `roost token`, those of
// the load harness and of tests. A node never mints tokens for its devices.
type Grant struct {
	Account   string
	Device    string // empty: the query names the device
	Send      bool
	Topics    []string
	Attrs     []byte // JSON object; nil: none
	Audience  string // empty: none
	Issued    time.Time
	NotBefore time.Time // zero: none
	Expires   time.Time
}

// Signer mints tokens with one key. It is safe for use by any number of goroutines.
type Signer struct {
	method jwt.SigningMethod
	kid    string
	key    any
}

// NewSigner takes the key as each algorithm has it: for HS256 the secret itself, else
// a private key in PEM (PKCS #8, PKCS #1 or SEC 1). kid goes into the header unless it
// is empty. Keys that a Verifier would refuse are refused here.
func NewSigner(alg, kid string, signingKey []byte) (*Signer, error) {
	a, ok := parseAlgorithm([]byte(alg))
	if !ok {
		return nil, fmt.Errorf("auth: algorithm %q is not known: only %q are", alg, algorithmNames)
	}
	if a == hs256 {
		if _, err := newSecret(kid, signingKey); err != nil {
			return nil, fmt.Errorf("auth: signing key: %w", err)
		}
		return &Signer{jwt.SigningMethodHS256, kid, signingKey}, nil
	}
	private, err := parsePrivate(signingKey)
	if err != nil {
		return nil, fmt.Errorf("auth: signing key: %w", err)
	}
	k, err := newPublic(kid, private.Public())
	if err != nil {
		return nil, fmt.Errorf("auth: signing key: %w", err)
	}
	if k.alg != a {
		return nil, fmt.Errorf("auth: signing key: it is for %v, not %v", k.alg, a)
	}
	return &Signer{methods[a], kid, private}, nil
}

func parsePrivate(text []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("it is not PEM")
	}
	var private any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		private, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		private, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		private, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("PEM block %q is not a private key (encrypted ones are not read)", block.Type)
	}
	if err != nil {
		return nil, err
	}
	switch p := private.(type) {
	case *rsa.PrivateKey:
		return p, nil
	case *ecdsa.PrivateKey:
		if p.Curve != elliptic.P256() {
			return nil, fmt.Errorf("curve %s is not P-256", p.Params().Name)
		}
		return p, nil
	case ed25519.PrivateKey:
		return p, nil
	}
	return nil, fmt.Errorf("key type %T is not known", private)
}

// Mint returns a signed token. It refuses a grant that no Verifier would take, as far
// as that can be seen here.
func (s *Signer) Mint(g Grant) (string, error) {
	claims := jwt.MapClaims{"sub": g.Account, "exp": g.Expires.Unix()}
	if err := session.CheckName("account", g.Account); err != nil {
		return "", fmt.Errorf("auth: %w", err)
	}
	if g.Device != "" {
		if err := session.CheckName("device", g.Device); err != nil {
			return "", fmt.Errorf("auth: %w", err)
		}
		claims["device"] = g.Device
	}
	if g.Send {
		claims["send"] = true
	}
	for _, topic := range g.Topics {
		if err := checkPattern(topic); err != nil {
			return "", fmt.Errorf("auth: %w", err)
		}
		claims["topics"] = g.Topics
	}
	if g.Attrs != nil {
		var object map[string]json.RawMessage
		if err := json.Unmarshal(g.Attrs, &object); err != nil || object == nil {
			return "", fmt.Errorf("auth: attrs is not a JSON object")
		}
		claims["attrs"] = json.RawMessage(g.Attrs)
	}
	if g.Audience != "" {
		claims["aud"] = g.Audience
	}
	if !g.Issued.IsZero() {
		claims["iat"] = g.Issued.Unix()
	}
	if !g.NotBefore.IsZero() {
		claims["nbf"] = g.NotBefore.Unix()
	}
	t := jwt.NewWithClaims(s.method, claims)
	if s.kid != "" {
		t.Header["kid"] = s.kid
	}
	text, err := t.SignedString(s.key)
	if err != nil {
		return "", fmt.Errorf("auth: sign: %w", err)
	}
	return text, nil
}

// Mint is NewSigner and Signer.Mint in one.
func Mint(alg, kid string, signingKey []byte, g Grant) (string, error) {
	s, err := NewSigner(alg, kid, signingKey)
	if err != nil {
		return "", err
	}
	return s.Mint(g)
}

// SecretJWKS returns the text of a keys file with one HS256 secret.
func SecretJWKS(kid string, secret []byte) ([]byte, error) {
	if _, err := newSecret(kid, secret); err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	one := jwk{Kty: "oct", Alg: hs256.String(), Kid: kid, K: base64url.EncodeToString(secret)}
	return json.MarshalIndent(map[string][]jwk{"keys": {one}}, "", "  ")
}

// SecretOf returns the HS256 secret in the text of a JWKS, so that `roost token` can
// sign with the file the node verifies with: the one that kid names, or the first if
// kid is empty. named is the kid it has.
func SecretOf(jwks []byte, kid string) (secret []byte, named string, err error) {
	var set struct{ Keys []jwk }
	if err := json.Unmarshal(jwks, &set); err != nil {
		return nil, "", fmt.Errorf("auth: JWKS: %w", err)
	}
	for _, j := range set.Keys {
		if j.Kty != "oct" || kid != "" && j.Kid != kid {
			continue
		}
		if _, err := j.key(); err != nil {
			return nil, "", fmt.Errorf("auth: JWKS: key %q: %w", j.Kid, err)
		}
		secret, err := member("k", j.K, 0)
		return secret, j.Kid, err
	}
	return nil, "", fmt.Errorf("auth: JWKS: it has no kty oct key with kid %q", kid)
}

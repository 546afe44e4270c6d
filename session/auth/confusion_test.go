package auth

import (
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

// TestAlgorithmConfusion: what an attacker who knows the public keys can make of
// them is never taken, whichever algorithms are allowed.
func TestAlgorithmConfusion(t *testing.T) {
	public := signers()["RS256"].Public().(*rsa.PublicKey)
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	keysets := map[string][]byte{
		"PEM":              publicPEM("RS256"),
		"JWKS":             jwksOf(publicJWK("RS256", "k")),
		"JWKS with secret": jwksOf(publicJWK("RS256", "k"), publicJWK("HS256", "k")),
	}
	stolen := map[string][]byte{
		"PEM text": publicPEM("RS256"),
		"PKIX DER": der,
		"PKCS1":    x509.MarshalPKCS1PublicKey(public),
		"modulus":  public.N.Bytes(),
		"JWK n":    []byte(publicJWK("RS256", "").N),
		"nothing":  {},
	}
	for file, keys := range keysets {
		f := open(t, keys, nil)
		if _, err := f.ask(craft("RS256", `{"alg":"RS256","kid":"k"}`, plain), noon); err != nil {
			t.Fatalf("%s: the honest token: %v", file, err)
		}
		for name, secret := range stolen {
			for _, header := range []string{`{"alg":"HS256"}`, `{"alg":"HS256","kid":"k"}`} {
				forged := sign(jwt.SigningMethodHS256, secret, header, plain)
				if _, err := f.ask(forged, noon); !errors.Is(err, ErrKey) && !errors.Is(err, ErrSignature) {
					t.Errorf("%s, %s as secret, %s: error is %v", file, name, header, err)
				}
			}
		}
	}
}

// TestForeignKey: the right algorithm and kid with a key that is not ours.
func TestForeignKey(t *testing.T) {
	f := open(t, allKeys(), nil)
	token := sign(jwt.SigningMethodHS256, []byte("another secret of at least 32 by"), `{"alg":"HS256","kid":"hs"}`, plain)
	if _, err := f.ask(token, noon); !errors.Is(err, ErrSignature) {
		t.Fatalf("error is %v", err)
	}
	// A signature of one algorithm under the name of another that has its length.
	es := craft("ES256", `{"alg":"EdDSA"}`, plain)
	if _, err := f.ask(es, noon); !errors.Is(err, ErrSignature) {
		t.Fatalf("error is %v", err)
	}
}

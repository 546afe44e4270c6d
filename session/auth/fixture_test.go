package auth

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noon is the time of most tests.
var noon = time.Unix(1_800_000_000, 0)

func atNoon() time.Time { return noon }

var secret = []byte("0123456789abcdef0123456789abcdef")

// signers are one private key for each public-key algorithm, made once.
var signers = sync.OnceValue(func() map[string]crypto.Signer {
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	_, d, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return map[string]crypto.Signer{"RS256": r, "ES256": e, "EdDSA": d}
})

// signingKey is what jwt's methods sign with.
func signingKey(alg string) any {
	if alg == "HS256" {
		return secret
	}
	return signers()[alg]
}

// publicJWK is the JWK of one of the test keys.
func publicJWK(alg, kid string) jwk {
	j := jwk{Kid: kid, Alg: alg}
	switch alg {
	case "HS256":
		j.Kty, j.K = "oct", base64url.EncodeToString(secret)
	case "RS256":
		p := signers()[alg].Public().(*rsa.PublicKey)
		j.Kty, j.N, j.E = "RSA", base64url.EncodeToString(p.N.Bytes()), "AQAB"
	case "ES256":
		point, err := signers()[alg].Public().(*ecdsa.PublicKey).Bytes()
		if err != nil {
			panic(err)
		}
		j.Kty, j.Crv = "EC", "P-256"
		j.X, j.Y = base64url.EncodeToString(point[1:33]), base64url.EncodeToString(point[33:])
	case "EdDSA":
		j.Kty, j.Crv = "OKP", "Ed25519"
		j.X = base64url.EncodeToString(signers()[alg].Public().(ed25519.PublicKey))
	}
	return j
}

func jwksOf(keys ...jwk) []byte {
	text, err := json.Marshal(map[string][]jwk{"keys": keys})
	if err != nil {
		panic(err)
	}
	return text
}

// allKeys is a JWKS with one key for each algorithm, kid = algorithm in lower case.
func allKeys() []byte {
	return jwksOf(publicJWK("HS256", "hs"), publicJWK("RS256", "rs"), publicJWK("ES256", "es"), publicJWK("EdDSA", "ed"))
}

func publicPEM(alg string) []byte {
	der, err := x509.MarshalPKIXPublicKey(signers()[alg].Public())
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func privatePEM(alg string) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(signers()[alg])
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// craft signs any header and payload, right or wrong, as alg does.
func craft(alg, header, payload string) string {
	return sign(jwt.GetSigningMethod(alg), signingKey(alg), header, payload)
}

func sign(method jwt.SigningMethod, key any, header, payload string) string {
	input := base64url.EncodeToString([]byte(header)) + "." + base64url.EncodeToString([]byte(payload))
	signature, err := method.Sign(input, key)
	if err != nil {
		panic(err)
	}
	return input + "." + base64url.EncodeToString(signature)
}

// fixture is a verifier over a keys file of its own, with what it logged.
type fixture struct {
	*Verifier
	path   string
	logged *syncBuffer
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

// take returns what was logged since the last call.
func (s *syncBuffer) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := s.b.String()
	s.b.Reset()
	return text
}

// open starts a verifier whose watching goroutine does not wake during the test.
func open(t testing.TB, keys []byte, change func(*Config)) *fixture {
	t.Helper()
	f := &fixture{path: filepath.Join(t.TempDir(), "keys"), logged: &syncBuffer{}}
	if err := os.WriteFile(f.path, keys, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := Default()
	cfg.KeysFile, cfg.ReloadInterval = f.path, time.Hour
	if change != nil {
		change(&cfg)
	}
	var err error
	f.Verifier, err = New(cfg, slog.New(slog.NewTextHandler(f.logged, nil)), atNoon)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

// ask is Quick, then Verify if Quick says so, as a caller would.
func (f *fixture) ask(token string, now time.Time) (Claims, error) {
	c, done, err := f.Quick([]byte(token), now)
	if !done {
		return f.Verify([]byte(token), now)
	}
	return c, err
}

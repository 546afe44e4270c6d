package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func block(kind string, der []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func certificate(alg string) []byte {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Unix(1, 0)} // long past: dates do not count
	der, err := x509.CreateCertificate(rand.Reader, template, template, signers()[alg].Public(), signers()[alg])
	return block("CERTIFICATE", der, err)
}

func weakRSA(bits int) *rsa.PublicKey {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	return &rsa.PublicKey{N: n.SetBit(n, 0, 1), E: 65537}
}

// TestParseKeys: what a keys file may hold, and what is said of what it may not.
func TestParseKeys(t *testing.T) {
	all := []string{"HS256", "RS256", "ES256", "EdDSA"}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384PEM, err := x509.MarshalPKIXPublicKey(p384.Public())
	edit := func(alg string, change func(*jwk)) []byte {
		j := publicJWK(alg, "k")
		change(&j)
		return jwksOf(j)
	}
	rsa1024 := weakRSA(1024)
	for _, c := range []struct {
		name   string
		file   []byte
		want   string // the algorithms of the keys
		err    string
		remark string
	}{
		{"JWKS", allKeys(), "HS256 RS256 ES256 EdDSA", "", ""},
		{"single JWK", []byte(a3Key), "ES256", "", ""},
		{"JWKS spaced", append([]byte("\n\t "), allKeys()...), "HS256 RS256 ES256 EdDSA", "", ""},
		{"PEM of each", slices.Concat(publicPEM("RS256"), publicPEM("ES256"), publicPEM("EdDSA")), "RS256 ES256 EdDSA", "", ""},
		{"PEM with text around", slices.Concat([]byte("the key:\n"), publicPEM("EdDSA"), []byte("that was it\n")), "EdDSA", "", ""},
		{"PKCS #1", block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(signers()["RS256"].Public().(*rsa.PublicKey)), nil), "RS256", "", ""},
		{"certificates", slices.Concat(certificate("RS256"), certificate("EdDSA")), "RS256 EdDSA", "", ""},

		{"use sig", edit("ES256", func(j *jwk) { j.Use = "sig" }), "ES256", "", ""},
		{"use enc", edit("ES256", func(j *jwk) { j.Use = "enc" }), "", "no usable key", `use is \"enc\"`},
		{"key_ops verify", edit("ES256", func(j *jwk) { j.Ops = []string{"sign", "verify"} }), "ES256", "", ""},
		{"key_ops sign", edit("ES256", func(j *jwk) { j.Ops = []string{"sign"} }), "", "no usable key", "key_ops"},
		{"no alg", edit("RS256", func(j *jwk) { j.Alg = "" }), "RS256", "", ""},
		{"alg RS512", edit("RS256", func(j *jwk) { j.Alg = "RS512" }), "", "no usable key", `alg is \"RS512\"`},
		{"alg HS256 on RSA", edit("RS256", func(j *jwk) { j.Alg = "HS256" }), "", "no usable key", `alg is \"HS256\"`},
		{"alg RS256 on oct", edit("HS256", func(j *jwk) { j.Alg = "RS256" }), "", "no usable key", `alg is \"RS256\"`},
		{"kty unknown beside a good one", []byte(`{"keys":[{"kty":"AKP","kid":"pq"},` + a3Key + `]}`), "ES256", "", `kid "pq") is skipped`},
		{"crv P-384", edit("ES256", func(j *jwk) { j.Crv = "P-384" }), "", "no usable key", "P-384"},
		{"crv X25519", edit("EdDSA", func(j *jwk) { j.Crv = "X25519" }), "", "no usable key", "X25519"},
		{"private part", edit("ES256", func(j *jwk) { j.D = "AAAA" }), "ES256", "", "private part"},
		{"private part of RSA", edit("RS256", func(j *jwk) { j.D = "AAAA" }), "RS256", "", "private part"},
		{"P-384 in PEM", slices.Concat(block("PUBLIC KEY", p384PEM, err), publicPEM("EdDSA")), "EdDSA", "", "P-384"},
		{"private key in PEM", privatePEM("ES256"), "", "no usable key", "PRIVATE KEY"},

		{"weak secret", edit("HS256", func(j *jwk) { j.K = base64url.EncodeToString(secret[:31]) }), "", `key 1 (kid "k"): the HS256 secret has 31 bytes: it is weak, use 32 or more`, ""},
		{"weak RSA", edit("RS256", func(j *jwk) { j.N = base64url.EncodeToString(rsa1024.N.Bytes()) }), "", "the RSA key has 1024 bits: it is weak, use 2048 or more", ""},
		{"RSA of 2047", edit("RS256", func(j *jwk) { j.N = base64url.EncodeToString(weakRSA(2047).N.Bytes()) }), "", "2047 bits", ""},
		{"weak RSA in PEM", block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(rsa1024), nil), "", "PEM block 1 (RSA PUBLIC KEY): the RSA key has 1024 bits", ""},
		{"RSA too large", edit("RS256", func(j *jwk) { j.N = base64url.EncodeToString(weakRSA(8193).N.Bytes()) }), "", "at most 8192", ""},
		{"RSA even", edit("RS256", func(j *jwk) { j.N = base64url.EncodeToString(new(big.Int).Lsh(big.NewInt(1), 2047).Bytes()) }), "", "cannot be used", ""},
		{"RSA e 1", edit("RS256", func(j *jwk) { j.E = "AQ" }), "", "e is no RSA exponent", ""},
		{"RSA e even", edit("RS256", func(j *jwk) { j.E = "BA" }), "", "e is no RSA exponent", ""},
		{"RSA e huge", edit("RS256", func(j *jwk) { j.E = "AQAAAAE" }), "", "e is no RSA exponent", ""},
		{"RSA without n", edit("RS256", func(j *jwk) { j.N = "" }), "", "n is missing", ""},
		{"k missing", edit("HS256", func(j *jwk) { j.K = "" }), "", "k is missing", ""},
		{"k padded", edit("HS256", func(j *jwk) { j.K += "=" }), "", "k is not unpadded base64url", ""},
		{"x short", edit("ES256", func(j *jwk) { j.X = j.X[:40] }), "", "x has 30 bytes instead of 32", ""},
		{"not on the curve", edit("ES256", func(j *jwk) { j.Y = flip(j.Y, 5) }), "", "no point of P-256", ""},
		{"at infinity", edit("ES256", func(j *jwk) { j.X = strings.Repeat("A", 43); j.Y = j.X }), "", "no point of P-256", ""},
		{"Ed25519 short", edit("EdDSA", func(j *jwk) { j.X = "AAAA" }), "", "x has 3 bytes instead of 32", ""},
		{"kty missing", []byte(`{"keys":[{"kid":"a"}]}`), "", `key 1 (kid "a"): kty is missing`, ""},
		{"member of another type", []byte(`{"keys":[{"kty":5}]}`), "", "key 1:", ""},
		{"one bad among good", []byte(`{"keys":[` + a3Key + `,{"kty":"oct","k":"AA"}]}`), "", "key 2", ""},

		{"empty", nil, "", "it is empty", ""},
		{"blank", []byte(" \n"), "", "it is empty", ""},
		{"neither", []byte("secret"), "", "neither a JWKS (JSON) nor PEM", ""},
		{"JSON array", []byte("[]"), "", "neither", ""},
		{"JSON of something else", []byte(`{"a":1}`), "", `without "keys"`, ""},
		{"no keys", []byte(`{"keys":[]}`), "", "no usable key", ""},
		{"cut JSON", allKeys()[:200], "", "not whole JSON", ""},
		{"trailing JSON", append(allKeys(), "{}"...), "", "not whole JSON", ""},
		{"cut PEM", publicPEM("RS256")[:200], "", "1 of its 1 PEM blocks are not whole", ""},
		{"second block cut", slices.Concat(publicPEM("EdDSA"), publicPEM("RS256")[:200]), "", "1 of its 2 PEM blocks are not whole", ""},
		{"PEM of rubbish", block("PUBLIC KEY", []byte("rubbish"), nil), "", "PEM block 1 (PUBLIC KEY)", ""},
		{"too many", jwksOf(slices.Repeat([]jwk{publicJWK("HS256", "")}, 11)...), "", "11 keys, at most 10", ""},
		{"too many in PEM", slices.Repeat(publicPEM("EdDSA"), 11), "", "11 PEM blocks, at most 10", ""},
		{"more without kid than are tried", jwksOf(slices.Repeat([]jwk{publicJWK("HS256", "")}, 9)...), strings.TrimSpace(strings.Repeat("HS256 ", 9)), "", "give each a kid"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := Default()
			cfg.KeysMax = 10
			p, err := parseKeys(c.file, &cfg)
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Fatalf("error is %v, want one that says %q", err, c.err)
			}
			var got []string
			for _, k := range p.keys {
				got = append(got, k.alg.String())
			}
			if strings.Join(got, " ") != c.want {
				t.Fatalf("keys are %v, want %v", got, c.want)
			}
			// An error for want of keys quotes the remarks, so that it says why.
			if said := fmt.Sprint(p.remarks, err); !strings.Contains(strings.ReplaceAll(said, `\\`, `\`), c.remark) {
				t.Fatalf("remarks and error are %s, want %q", said, c.remark)
			}
		})
	}
	cfg := Default()
	cfg.Algorithms = all[:1]
	if p, err := parseKeys(allKeys(), &cfg); err != nil || len(p.keys) != 1 || len(p.remarks) != 3 {
		t.Errorf("of four keys with one algorithm allowed: %d keys, %q, %v", len(p.keys), p.remarks, err)
	}
}

func TestNewRefusesKeys(t *testing.T) {
	cfg := Default()
	cfg.KeysFile = t.TempDir() + "/none"
	if _, err := New(cfg, nil, atNoon); err == nil || !strings.Contains(err.Error(), cfg.KeysFile) {
		t.Errorf("a file that is not there: %v", err)
	}
	cfg.KeysFile = t.TempDir()
	if _, err := New(cfg, nil, atNoon); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a directory: %v", err)
	}
}

// TestPick: which keys are tried for which kid.
func TestPick(t *testing.T) {
	second := []byte("second secret, with 32 bytes or more")
	third := []byte("third secret, which has 32 bytes too")
	oct := func(kid string, k []byte) jwk {
		return jwk{Kty: "oct", Kid: kid, K: base64url.EncodeToString(k)}
	}
	mint := func(k []byte, kid string) string {
		header := hsHeader
		if kid != "" {
			header = fmt.Sprintf(`{"alg":"HS256","kid":%q}`, kid)
		}
		return sign(jwt.SigningMethodHS256, k, header, plain)
	}
	for _, c := range []struct {
		name  string
		file  []jwk
		token string
		err   error
	}{
		{"no kid, any key", []jwk{oct("a", secret), oct("b", second)}, mint(second, ""), nil},
		{"no kid, no key", []jwk{oct("a", secret), oct("b", second)}, mint(third, ""), ErrSignature},
		{"kid of the key", []jwk{oct("a", secret), oct("b", second)}, mint(second, "b"), nil},
		{"kid of the other key", []jwk{oct("a", secret), oct("b", second)}, mint(second, "a"), ErrSignature},
		{"kid unknown, all are named", []jwk{oct("a", secret)}, mint(secret, "b"), ErrKey},
		{"kid unknown, one has no name", []jwk{oct("a", secret), oct("", second)}, mint(second, "b"), nil},
		{"kid unknown, signed by a named one", []jwk{oct("a", secret), oct("", second)}, mint(secret, "b"), ErrSignature},
		{"two of one name", []jwk{oct("a", secret), oct("a", second)}, mint(second, "a"), nil},
		{"no kid, more than are tried", []jwk{oct("a", secret), oct("b", second), oct("c", third)}, mint(secret, ""), ErrKey},
		{"kid, more than are tried", []jwk{oct("a", secret), oct("b", second), oct("c", third)}, mint(third, "c"), nil},
		{"three of one name", []jwk{oct("a", secret), oct("a", second), oct("a", third)}, mint(secret, "a"), ErrKey},
		{"no key of the algorithm", []jwk{publicJWK("EdDSA", "a")}, mint(secret, ""), ErrKey},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := open(t, jwksOf(c.file...), func(c *Config) { c.TrialKeysMax = 2 })
			if _, err := f.ask(c.token, noon); !errors.Is(err, c.err) {
				t.Fatalf("error is %v, want %v", err, c.err)
			}
		})
	}
}

package auth

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestMint(t *testing.T) {
	f := open(t, allKeys(), func(c *Config) { c.Audience = "roost" })
	g := Grant{
		Account: "ann", Device: "tv", Send: true, Topics: []string{"a.*"}, Attrs: []byte(`{"os": "<x>"}`),
		Audience: "roost", Issued: noon, NotBefore: noon, Expires: noon.Add(time.Minute),
	}
	want := Claims{Account: "ann", Device: "tv", ExpiresMS: exp(62), Send: true, Topics: []string{"a.*"}, Attrs: []byte(`{"os":"\u003cx\u003e"}`)}
	pkcs1 := block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(signers()["RS256"].(*rsa.PrivateKey)), nil)
	sec1DER, err := x509.MarshalECPrivateKey(signers()["ES256"].(*ecdsa.PrivateKey))
	sec1 := block("EC PRIVATE KEY", sec1DER, err)
	for _, c := range []struct {
		name, alg, kid string
		key            []byte
	}{
		{"secret", "HS256", "hs", secret}, {"PKCS #8 RSA", "RS256", "rs", privatePEM("RS256")}, {"PKCS #1", "RS256", "", pkcs1},
		{"PKCS #8 EC", "ES256", "es", privatePEM("ES256")}, {"SEC 1", "ES256", "", sec1}, {"PKCS #8 Ed25519", "EdDSA", "ed", privatePEM("EdDSA")},
	} {
		t.Run(c.name, func(t *testing.T) {
			token, err := Mint(c.alg, c.kid, c.key, g)
			if err != nil {
				t.Fatal(err)
			}
			got, err := f.ask(token, noon)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("%+v, %v", got, err)
			}
		})
	}
	least, err := Mint("HS256", "", secret, Grant{Account: "ann", Audience: "roost", Expires: noon.Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := f.ask(least, noon); err != nil || !reflect.DeepEqual(got, Claims{Account: "ann", ExpiresMS: exp(62)}) {
		t.Fatalf("%+v, %v", got, err)
	}
}

func TestMintRefuses(t *testing.T) {
	right := Grant{Account: "ann", Expires: noon}
	for _, c := range []struct {
		name, alg string
		key       []byte
		change    func(*Grant)
		says      string
	}{
		{"algorithm", "none", nil, nil, `"none"`},
		{"weak secret", "HS256", secret[:31], nil, "weak"},
		{"no PEM", "RS256", secret, nil, "not PEM"},
		{"public PEM", "RS256", publicPEM("RS256"), nil, "not a private key"},
		{"key of another algorithm", "RS256", privatePEM("ES256"), nil, "for ES256, not RS256"},
		{"rubbish", "RS256", block("PRIVATE KEY", []byte("x"), nil), nil, "signing key"},
		{"no account", "HS256", secret, func(g *Grant) { g.Account = "" }, "account is missing"},
		{"device", "HS256", secret, func(g *Grant) { g.Device = "a/b" }, "device"},
		{"topic", "HS256", secret, func(g *Grant) { g.Topics = []string{"*"} }, "topic"},
		{"attrs", "HS256", secret, func(g *Grant) { g.Attrs = []byte(`[]`) }, "attrs"},
		{"attrs null", "HS256", secret, func(g *Grant) { g.Attrs = []byte(`null`) }, "attrs"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := right
			if c.change != nil {
				c.change(&g)
			}
			if _, err := Mint(c.alg, "", c.key, g); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("error is %v, want one that says %q", err, c.says)
			}
		})
	}
}

// TestSecretJWKS: the file that SecretJWKS makes is one that a node takes and
// SecretOf reads.
func TestSecretJWKS(t *testing.T) {
	text, err := SecretJWKS("dev", secret)
	if err != nil {
		t.Fatal(err)
	}
	for _, ask := range []string{"", "dev"} {
		got, named, err := SecretOf(text, ask)
		if err != nil || !bytes.Equal(got, secret) || named != "dev" {
			t.Fatalf("SecretOf(%q): %q, %q, %v", ask, got, named, err)
		}
	}
	token, err := Mint("HS256", "dev", secret, Grant{Account: "ann", Expires: noon.Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, text, nil).ask(token, noon); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string][2]string{
		"other kid": {string(text), "prod"}, "no oct": {string(jwksOf(publicJWK("EdDSA", "dev"))), "dev"},
		"weak": {`{"keys":[{"kty":"oct","k":"AAAA"}]}`, ""}, "no JSON": {"x", ""},
	} {
		if _, _, err := SecretOf([]byte(c[0]), c[1]); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := SecretJWKS("dev", secret[:31]); err == nil {
		t.Error("a weak secret is taken")
	}
}

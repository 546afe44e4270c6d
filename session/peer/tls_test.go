package peer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// authority signs certificates for a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key, writePEM(t, "ca.pem", "CERTIFICATE", der)}
}

func writePEM(t testing.TB, name, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// secure gives a node a certificate of that name, signed by a, and has it trust only
// trusted.
func (a *authority) secure(t testing.TB, name string, trusted *authority) setup {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert, private := writePEM(t, "cert.pem", "CERTIFICATE", der), writePEM(t, "key.pem", "EC PRIVATE KEY", secret)
	return func(_ *node, cfg *Config, _ *Identity, _ *Handlers) {
		cfg.TLSCert, cfg.TLSKey, cfg.TLSCA, cfg.TLSNames = cert, private, trusted.file, true
	}
}

func TestTLS(t *testing.T) {
	ca := newAuthority(t)
	a, b := start(t, "a", 1, ca.secure(t, "a", ca)), start(t, "b", 1, ca.secure(t, "b", ca))
	introduce(t, a, b)
	e := expecting(2000)
	m := message("tv")
	m.Payload = make([]byte, 2000)
	for tag := range uint64(1000) {
		a.Send("b", m, e, tag)
		b.Send("a", m, e, 1000+tag)
	}
	if sum := e.wait(t); sum[session.Written] != 2000 {
		t.Errorf("outcomes are %v", sum)
	}
	b.Close()
	until(t, "the goodbye is read", func() bool { return a.heard("down b 1 closing") })
}

func TestTLSRefused(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	plain := func(*node, *Config, *Identity, *Handlers) {}
	for name, c := range map[string]struct {
		a, b setup
		want wire.GoodbyeReason // 0: TLS itself fails, the dialler cannot know why
	}{
		"b is of another authority": {ca.secure(t, "a", ca), other.secure(t, "b", ca), 0},
		"a is of another authority": {other.secure(t, "a", ca), ca.secure(t, "b", ca), 0},
		"b poses as another":        {ca.secure(t, "a", ca), ca.secure(t, "c", ca), wire.GoodbyeCertificate},
		"a poses as another":        {ca.secure(t, "c", ca), ca.secure(t, "b", ca), wire.GoodbyeCertificate},
		"a does not encrypt":        {plain, ca.secure(t, "b", ca), 0},
		"b does not encrypt":        {ca.secure(t, "a", ca), plain, 0},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := start(t, "a", 1, c.a), start(t, "b", 1, c.b)
			if err := a.Member("b", b.addr, 1); err != nil {
				t.Fatal(err)
			}
			until(t, "a has tried and failed", func() bool {
				s := a.Stats()
				return s.DialsFailed+s.Refused[wire.GoodbyeCertificate] > 0
			})
			until(t, "b has noticed", func() bool {
				for _, n := range b.Stats().Refused {
					if n > 0 {
						return true
					}
				}
				return false
			})
			if len(a.Links()) > 0 || len(b.Links()) > 0 {
				t.Error("they are linked")
			}
			if c.want != 0 {
				until(t, "a counts and logs it", func() bool { return a.Stats().Refused[c.want] > 0 && a.log.has(c.want.String()) })
			}
		})
	}
}

func TestTLSFiles(t *testing.T) {
	ca := newAuthority(t)
	cfg := fast()
	ca.secure(t, "a", ca)(nil, &cfg, nil, nil)
	for name, spoil := range map[string]func(*Config){
		"no key file":          func(c *Config) { c.TLSKey = filepath.Join(t.TempDir(), "none") },
		"no authority file":    func(c *Config) { c.TLSCA = filepath.Join(t.TempDir(), "none") },
		"authorities are keys": func(c *Config) { c.TLSCA = c.TLSKey },
	} {
		bad := cfg
		spoil(&bad)
		if _, err := newCredentials(bad); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

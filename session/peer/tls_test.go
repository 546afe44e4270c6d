package peer

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
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
		a, b         setup
		want         wire.GoodbyeReason // 0: TLS itself fails, the dialler has its error only
		saysA, saysB string             // what their logs give as the reason
	}{
		"b is of another authority": {ca.secure(t, "a", ca), other.secure(t, "b", ca), 0, "unknown authority", "bad certificate"},
		"a is of another authority": {other.secure(t, "a", ca), ca.secure(t, "b", ca), 0, "unknown certificate authority", "unknown authority"},
		"b poses as another":        {ca.secure(t, "a", ca), ca.secure(t, "c", ca), wire.GoodbyeCertificate, "b has a certificate for [c]", "b has a certificate for [c]"},
		"a poses as another":        {ca.secure(t, "c", ca), ca.secure(t, "b", ca), wire.GoodbyeCertificate, "a has a certificate for [c]", "a has a certificate for [c]"},
		"a does not encrypt":        {plain, ca.secure(t, "b", ca), wire.GoodbyeBadFrame, "what came is not TLS", "what came is not TLS"},
		"b does not encrypt":        {ca.secure(t, "a", ca), plain, 0, "does not encrypt its links", "what came is TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := start(t, "a", 1, c.a), start(t, "b", 1, c.b)
			if err := a.Member("b", b.addr, 1); err != nil {
				t.Fatal(err)
			}
			until(t, "a has tried and failed", func() bool {
				s := a.Stats()
				return s.DialsFailed+s.Refused[wire.GoodbyeCertificate]+s.Refused[wire.GoodbyeBadFrame] > 0
			})
			until(t, "b has noticed", func() bool {
				for _, n := range b.Stats().Refused {
					if n > 0 {
						return true
					}
				}
				return false
			})
			until(t, "both logs say why", func() bool { return a.log.has(c.saysA) && b.log.has(c.saysB) })
			if len(a.Links()) > 0 || len(b.Links()) > 0 {
				t.Error("they are linked")
			}
			if c.want != 0 {
				until(t, "a counts and logs it", func() bool { return a.Stats().Refused[c.want] > 0 && a.log.has(c.want.String()) })
			}
		})
	}
}

// tap is a connection's way through somebody who records what the dialler says.
type tap struct {
	mu    sync.Mutex
	tapes []*bytes.Buffer // of each connection, in order

	recording sync.WaitGroup
}

// listen passes connections on to addr and returns where.
func (p *tap) listen(t *testing.T, addr string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	t.Cleanup(func() { ln.Close(); running.Wait() })
	running.Go(func() {
		for {
			from, err := ln.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", addr)
			if err != nil {
				from.Close()
				continue
			}
			tape := new(bytes.Buffer)
			p.mu.Lock()
			p.tapes = append(p.tapes, tape)
			p.recording.Add(1)
			p.mu.Unlock()
			running.Go(func() {
				defer p.recording.Done()
				_, _ = io.Copy(io.MultiWriter(to, locked{&p.mu, tape}), from)
				to.Close()
			})
			running.Go(func() { _, _ = io.Copy(from, to); from.Close() })
		}
	})
	return ln.Addr().String()
}

type locked struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// TestReplayedTLS sends a recorded encrypted link again: it proves nobody, and nothing of
// it is delivered.
func TestReplayedTLS(t *testing.T) {
	ca := newAuthority(t)
	a, b := start(t, "a", 1, ca.secure(t, "a", ca)), start(t, "b", 1, ca.secure(t, "b", ca))
	p := new(tap)
	if err := a.Member("b", p.listen(t, b.addr), 1); err != nil {
		t.Fatal(err)
	}
	until(t, "they are linked", func() bool { return a.live("b") != nil && b.live("a") != nil })
	e := expecting(1)
	a.Send("b", message("tv"), e, 1)
	if sum := e.wait(t); sum[session.Written] != 1 {
		t.Fatalf("outcomes are %v", sum)
	}
	a.Close()
	until(t, "the link is over", func() bool { return b.live("a") == nil })
	p.mu.Lock()
	tapes := p.tapes
	p.mu.Unlock()
	p.recording.Wait() // b has what it was sent before the tape has
	if len(tapes) != 2 || tapes[1].Len() == 0 {
		t.Fatalf("%d connections were recorded", len(tapes))
	}
	for _, tape := range tapes {
		r := dialRaw(t, b.addr)
		if _, err := r.Write(tape.Bytes()); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, r)
	}
	until(t, "both are refused", func() bool { return b.Stats().Refused[wire.GoodbyeCertificate] == 2 })
	if n := b.count(`forwarded a alice/tv {"a":1}`); n != 1 || b.count("up a 1") != 1 {
		t.Errorf("delivered %d times, linked %d times", n, b.count("up a 1"))
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

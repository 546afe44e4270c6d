package kafka

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/roostpush/roost/session/processor/processortest"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var discard = slog.New(slog.DiscardHandler)

// nobody returns an address where nothing listens: its port is taken, not listened at.
func nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	c, err := net.Dial("tcp", l.Addr().String()) // its own port is busy as long as it is open
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.LocalAddr().String()
}

// TestStartErrors holds that Run says at once which thing is wrong and what to do.
func TestStartErrors(t *testing.T) {
	plain := newBroker(t)
	topic := plain.topic(t, 1)
	secured := newFake(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "roost", "secret"))
	// A Kafka broker says what is wrong, kfake ends the connection: both happen in the wild.
	refusing := newFake(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "roost", "secret"))
	refusing.ControlKey(int16(kmsg.SASLAuthenticate), func(request kmsg.Request) (kmsg.Response, error, bool) {
		refusing.KeepControl()
		answer := request.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		answer.ErrorCode = kerr.SaslAuthenticationFailed.Code
		return answer, nil, true
	})
	certificate, authority := selfSigned(t)
	encrypted := newFake(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{certificate}}))
	for _, c := range []struct {
		name   string
		change func(*Config)
		want   []string
	}{
		{"nobody answers", func(c *Config) { c.Connection.Brokers = []string{nobody(t)} }, []string{"no broker of 127.0.0.1:", "answers: check brokers", "connection refused"}},
		{"no topic", func(c *Config) { c.HighTopics = []string{"roost-not-there"} }, []string{`topic "roost-not-there" (high_topics) does not exist`, "--create --topic roost-not-there"}},
		{"no dead letters", func(c *Config) { c.DeadLetterTopic = "roost-dead" }, []string{`topic "roost-dead" (dead_letter_topic) does not exist`}},
		{"no sasl", func(c *Config) { c.Connection.Brokers = secured.ListenAddrs() }, []string{"it wants tls or sasl", "sasl is none"}},
		{"wrong password, silently", func(c *Config) {
			c.Connection.Brokers = secured.ListenAddrs()
			c.Connection.SASL, c.Connection.User, c.Connection.Password = SASLPlain, "roost", "wrong"
		}, []string{"take connections and give no answer", `user "roost" or the password is wrong`}},
		{"wrong password", func(c *Config) {
			c.Connection.Brokers = refusing.ListenAddrs()
			c.Connection.SASL, c.Connection.User, c.Connection.Password = SASLPlain, "roost", "wrong"
		}, []string{`refuses user "roost" by sasl plain`, "check user, password"}},
		{"no tls", func(c *Config) { c.Connection.Brokers = encrypted.ListenAddrs() }, []string{"it wants tls or sasl", "tls is false"}},
		{"unknown authority", func(c *Config) {
			c.Connection.Brokers, c.Connection.TLS = encrypted.ListenAddrs(), true
		}, []string{"no broker of", "certificate"}},
		{"wrong name", func(c *Config) {
			c.Connection.Brokers, c.Connection.TLS = encrypted.ListenAddrs(), true
			c.Connection.TLSCAFile, c.Connection.TLSServerName = authority, "elsewhere.example"
		}, []string{"no broker of", "elsewhere.example"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := plain.config(group(), topic)
			cfg.StartTimeout = 4 * time.Second // a busy machine is slow
			c.change(&cfg)
			s, err := New(cfg, processortest.New(processortest.Always), discard)
			if err != nil {
				t.Fatal(err)
			}
			err = s.Run(t.Context())
			if err == nil {
				t.Fatal("it ran")
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error lacks %q: %v", part, err)
				}
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}

// TestSecured consumes through TLS and each mechanism of SASL.
func TestSecured(t *testing.T) {
	certificate, authority := selfSigned(t)
	for _, mechanism := range []string{SASLPlain, SASLScramSHA256, SASLScramSHA512} {
		t.Run(mechanism, func(t *testing.T) {
			fake := newFake(t, kfake.EnableSASL(), kfake.Superuser(strings.ToUpper(mechanism), "roost", "secret"),
				kfake.TLS(&tls.Config{Certificates: []tls.Certificate{certificate}}), kfake.SeedTopics(1, "in"))
			file := filepath.Join(t.TempDir(), "password")
			if err := os.WriteFile(file, []byte("secret\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			b := &broker{addresses: fake.ListenAddrs()}
			c := b.config(group(), "in")
			c.Connection.TLS, c.Connection.TLSCAFile = true, authority
			c.Connection.SASL, c.Connection.User, c.Connection.PasswordFile = mechanism, "roost", file
			p, err := NewProducer(c.Connection)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if err := p.Check(ctx, "in"); err != nil {
				t.Fatal(err)
			}
			sent := make(chan error, 1)
			p.Send(ctx, Message{Topic: "in", Account: "a", Device: "d", ID: "1", TTL: time.Minute, Payload: []byte("x")},
				func(_ int32, _ int64, err error) { sent <- err })
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
			s := processortest.New(processortest.Always)
			run(t, c, s)
			eventually(t, "the record is final", func() bool { return s.IsFinal("1") })
		})
	}
}

// TestProducer puts records where a source finds them.
func TestProducer(t *testing.T) {
	b := newBroker(t)
	topic := b.topic(t, 1)
	c := b.config(group(), topic)
	p, err := NewProducer(c.Connection)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := p.Check(ctx, topic); err != nil {
		t.Fatal(err)
	}
	if err := p.Check(ctx, "roost-not-there"); err == nil || !strings.Contains(err.Error(), "does not exist: create it") {
		t.Errorf("a topic that is not there: %v", err)
	}
	offsets := make([]int64, 3)
	for i := range offsets {
		p.Send(ctx, Message{Topic: topic, Account: "a", Payload: []byte("x")}, func(partition int32, offset int64, err error) {
			if err != nil || partition != 0 {
				t.Errorf("message %d: partition %d, %v", i, partition, err)
			}
			offsets[i] = offset
		})
	}
	if err := p.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if offsets[0] != 0 || offsets[1] != 1 || offsets[2] != 2 {
		t.Errorf("offsets %v", offsets)
	}
	m := b.read(t, topic, 3)[0]
	if string(m.Key) != "a" || string(m.Value) != "x" || len(m.Headers) != 1 || m.Headers[0].Key != "roost-account" {
		t.Errorf("a record reads %q %q %v", m.Key, m.Value, m.Headers)
	}
}

// selfSigned makes a certificate for 127.0.0.1 and the file of who signed it.
func selfSigned(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "roost test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

// TestDialerRemembersWhy: a dial that ended because its caller did not wait hides nothing
// of why the one before failed; one that works does.
func TestDialerRemembersWhy(t *testing.T) {
	var d dialer
	_, refused := d.dial(t.Context(), "tcp", nobody(t))
	over, cancel := context.WithCancel(t.Context())
	cancel()
	d.dial(over, "tcp", nobody(t))
	if n, last := d.failed(); refused == nil || n != 1 || last != refused {
		t.Errorf("%d failures, the last one %v, want %v", n, last, refused)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := d.dial(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if n, last := d.failed(); n != 1 || last != nil {
		t.Errorf("%d failures, the last one %v", n, last)
	}
}

package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/roostpush/roost/session/processor"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// The mechanisms of SASL.
const (
	SASLNone        = "none"
	SASLPlain       = "plain"
	SASLScramSHA256 = "scram-sha-256"
	SASLScramSHA512 = "scram-sha-512"
)

// ConnectionConfig says how the brokers are reached; a Source and a Producer share it.
type ConnectionConfig struct {
	Brokers  []string `yaml:"brokers" doc:"host:port of some of the brokers; the others are found through them"`
	ClientID string   `yaml:"client_id" doc:"name under which brokers list and throttle this client"`

	DialTimeout time.Duration `yaml:"dial_timeout" doc:"time for a connection to a broker to be made, TLS included"`

	TLS           bool   `yaml:"tls" doc:"whether connections are encrypted"`
	TLSCAFile     string `yaml:"tls_ca_file" doc:"certificates in PEM of who may sign the brokers' ones; empty: those of the system"`
	TLSCertFile   string `yaml:"tls_cert_file" doc:"this client's certificate in PEM, for brokers that ask for one; empty: none"`
	TLSKeyFile    string `yaml:"tls_key_file" doc:"the key of tls_cert_file in PEM"`
	TLSServerName string `yaml:"tls_server_name" doc:"name that the brokers' certificates must have; empty: the host of the broker's address"`

	SASL         string `yaml:"sasl" doc:"none, plain, scram-sha-256 or scram-sha-512; plain shows the password to whoever listens unless tls is on"`
	User         string `yaml:"user" doc:"user as whom the brokers know this client, for sasl"`
	Password     string `yaml:"password" secret:"true" doc:"password of that user; in the file of the settings it is in the clear, password_file is the other way"`
	PasswordFile string `yaml:"password_file" doc:"file with the password instead, without a final line end"`
}

// DefaultConnection returns a connection in the clear, to brokers that are still to be
// named.
func DefaultConnection() ConnectionConfig {
	return ConnectionConfig{ClientID: "roost", DialTimeout: 5 * time.Second, SASL: SASLNone}
}

// Check reports everything that is wrong, each with the setting's name. It is not called
// Validate, so that nobody asks the section of a source that is not enabled.
func (c ConnectionConfig) Check() error {
	p := processor.Problems{Section: section}
	p.Check(len(c.Brokers) > 0, "brokers is empty: host:port of one broker is needed")
	for _, b := range c.Brokers {
		host, port, err := net.SplitHostPort(b)
		p.Check(err == nil && host != "" && port != "", "brokers has %q: write host:port, 9092 is Kafka's usual port", b)
	}
	p.Check(c.ClientID != "" && len(c.ClientID) <= nameBytesMax, "client_id is %.80q: 1 to %d bytes are allowed", c.ClientID, nameBytesMax)
	p.Duration("dial_timeout", c.DialTimeout, 10*time.Millisecond, 5*time.Minute)
	p.Check(c.TLS || c.TLSCAFile == "" && c.TLSCertFile == "" && c.TLSServerName == "", "tls is off, but tls_ca_file, tls_cert_file or tls_server_name is set: turn it on")
	p.Check((c.TLSCertFile == "") == (c.TLSKeyFile == ""), "tls_cert_file and tls_key_file belong together: one is set, the other is not")
	switch c.SASL {
	case SASLNone:
		p.Check(c.User == "" && c.Password == "" && c.PasswordFile == "", "sasl is none, but user or password is set: write plain, scram-sha-256 or scram-sha-512")
	case SASLPlain, SASLScramSHA256, SASLScramSHA512:
		p.Check(c.User != "", "sasl is %s, which needs user", c.SASL)
		p.Check(c.Password != "" || c.PasswordFile != "", "sasl is %s, which needs password or password_file", c.SASL)
		p.Check(c.Password == "" || c.PasswordFile == "", "password and password_file are both set: use one")
	default:
		p.Check(false, "sasl is %q: write none, plain, scram-sha-256 or scram-sha-512", c.SASL)
	}
	return p.Err()
}

// passwordBytesMax bounds a file with a password.
const passwordBytesMax = 4 << 10

// options returns the settings as the client wants them. It reads the files that they
// name, and opens no connection.
func (c ConnectionConfig) options(d *dialer) ([]kgo.Opt, error) {
	d.dialer.Timeout = c.DialTimeout
	if c.TLS {
		t, err := c.tls()
		if err != nil {
			return nil, err
		}
		d.tls = t
	}
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...),
		kgo.ClientID(c.ClientID),
		kgo.Dialer(d.dial),
	}
	if c.SASL != SASLNone {
		mechanism, err := c.mechanism()
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.SASL(mechanism))
	}
	return opts, nil
}

func (c ConnectionConfig) mechanism() (sasl.Mechanism, error) {
	password := c.Password
	if c.PasswordFile != "" {
		text, err := readFile("password_file", c.PasswordFile, passwordBytesMax)
		if err != nil {
			return nil, err
		}
		password = strings.TrimRight(string(text), "\r\n")
	}
	switch c.SASL {
	case SASLScramSHA256:
		return scram.Auth{User: c.User, Pass: password}.AsSha256Mechanism(), nil
	case SASLScramSHA512:
		return scram.Auth{User: c.User, Pass: password}.AsSha512Mechanism(), nil
	}
	return plain.Auth{User: c.User, Pass: password}.AsMechanism(), nil
}

// pemBytesMax bounds a file with certificates: the whole set of a system has 220 KB.
const pemBytesMax = 4 << 20

func (c ConnectionConfig) tls() (*tls.Config, error) {
	t := &tls.Config{ServerName: c.TLSServerName, MinVersion: tls.VersionTLS12}
	if c.TLSCAFile != "" {
		text, err := readFile("tls_ca_file", c.TLSCAFile, pemBytesMax)
		if err != nil {
			return nil, err
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("kafka: tls_ca_file: %s has no certificate in PEM", c.TLSCAFile)
		}
	}
	if c.TLSCertFile != "" {
		pair, err := tls.LoadX509KeyPair(c.TLSCertFile, c.TLSKeyFile)
		if err != nil {
			return nil, fmt.Errorf("kafka: tls_cert_file and tls_key_file: %w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}

func readFile(setting, path string, bytesMax int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("kafka: %s: %w", setting, err)
	}
	if info.Size() > bytesMax {
		return nil, fmt.Errorf("kafka: %s: %s is %d bytes long, at most %d are read", setting, path, info.Size(), bytesMax)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("kafka: %s: %w", setting, err)
	}
	return text, nil
}

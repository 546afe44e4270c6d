package peer

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// credentials names the files with which links are encrypted and both nodes proven.
// They are read at each handshake, so that a renewed certificate or another authority
// is used from the next connection on; handshakes are as rare as links.
type credentials struct {
	cert, key, ca string
}

// newCredentials returns nil when nothing is configured, and an error when the files
// are no good now.
func newCredentials(cfg Config) (*credentials, error) {
	if cfg.TLSCert == "" {
		return nil, nil
	}
	s := &credentials{cfg.TLSCert, cfg.TLSKey, cfg.TLSCA}
	_, err := s.server()
	return s, err
}

func (s *credentials) read() (tls.Certificate, *x509.CertPool, error) {
	cert, err := tls.LoadX509KeyPair(s.cert, s.key)
	if err != nil {
		return cert, nil, fmt.Errorf("peer: tls_cert and tls_key: %w", err)
	}
	text, err := os.ReadFile(s.ca)
	if err != nil {
		return cert, nil, fmt.Errorf("peer: tls_ca: %w", err)
	}
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM(text) {
		return cert, nil, fmt.Errorf("peer: tls_ca: %s holds no certificate", s.ca)
	}
	return cert, authorities, nil
}

func (s *credentials) server() (*tls.Config, error) {
	cert, authorities, err := s.read()
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{cert},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    authorities,
		// Every handshake proves both nodes anew.
		SessionTicketsDisabled: true,
	}, nil
}

// client verifies the chain itself: which name the certificate must have is known when
// the hello has said who is there (tls_names), and without tls_names no name matters.
func (s *credentials) client() (*tls.Config, error) {
	cert, authorities, err := s.read()
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		// Certificates would send none to a node that trusts another authority, and both logs
		// would say that it is missing instead of what is wrong with it.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil },

		InsecureSkipVerify: true, // VerifyConnection does it, all but the name
		VerifyConnection: func(cs tls.ConnectionState) error {
			if len(cs.PeerCertificates) == 0 {
				return errors.New("peer: the other node has no certificate")
			}
			between := x509.NewCertPool()
			for _, c := range cs.PeerCertificates[1:] {
				between.AddCert(c)
			}
			_, err := cs.PeerCertificates[0].Verify(x509.VerifyOptions{
				Roots: authorities, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
			})
			return err
		},
	}, nil
}

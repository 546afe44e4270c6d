package auth

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

const pemBegin = "-----BEGIN "

// readPEM reads public keys and certificates (RFC 7468). Of a certificate only the key
// counts: it is a way to carry a key here, so neither its dates nor its issuer are
// looked at. The keys have no kid.
func (p *parsedKeys) readPEM(text []byte, most int) error {
	// pem.Decode passes over what it cannot read: a block cut short would be lost in
	// silence.
	begun, blocks := bytes.Count(text, []byte(pemBegin)), 0
	if begun > most {
		return fmt.Errorf("it has %d PEM blocks, at most %d are allowed", begun, most)
	}
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		text = rest
		blocks++
		k, err := keyOfBlock(block)
		switch {
		case errors.Is(err, errUnsupported):
			p.remark("PEM block %d is skipped: %v", blocks, err)
			continue
		case err != nil:
			return fmt.Errorf("PEM block %d (%s): %w", blocks, block.Type, err)
		}
		p.keys = append(p.keys, k)
	}
	if blocks != begun {
		return fmt.Errorf("%d of its %d PEM blocks are not whole", begun-blocks, begun)
	}
	return nil
}

func keyOfBlock(block *pem.Block) (*key, error) {
	var public any
	var err error
	switch block.Type {
	case "PUBLIC KEY":
		public, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		public, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		var c *x509.Certificate
		if c, err = x509.ParseCertificate(block.Bytes); err == nil {
			public = c.PublicKey
		}
	default:
		return nil, fmt.Errorf("%w: %s (only public keys and certificates are)", errUnsupported, block.Type)
	}
	if err != nil {
		return nil, err
	}
	return newPublic("", public)
}

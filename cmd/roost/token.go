package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/roostpush/roost/session/auth"
)

// keyFileBytesMax bounds a file of keys.
const keyFileBytesMax = 1 << 20

// secretBytes is the length of a new HS256 secret: as long as the hash, which
// RFC 7518 section 3.2 asks for at least.
const secretBytes = 32

// tokenCommand mints a development token.
type tokenCommand struct {
	Account string        `placeholder:"NAME" help:"The account (claim sub)."`
	Device  string        `placeholder:"NAME" help:"The device; left out, the query of the connection names it."`
	TTL     time.Duration `name:"ttl" default:"24h" placeholder:"DURATION" help:"How long it is good for (${default})."`
	Send    bool          `help:"The device may message the account's other devices."`
	Topics  []string      `placeholder:"PATTERN" help:"Topics it may subscribe to, separated by commas: news.*,alerts."`
	Attrs   string        `placeholder:"JSON" help:"A small object that device lists show: '{\"model\":\"x\"}'."`

	Audience   string `placeholder:"NAME" help:"The claim aud, where the node wants one (setting auth.audience)."`
	Keys       string `xor:"key" placeholder:"FILE" help:"Sign with the HS256 secret in this JWKS, the file the node has as auth.keys_file (environment: ROOST_AUTH_KEYS_FILE, when no other key is given)."`
	SecretFile string `xor:"key" placeholder:"FILE" help:"Sign with HS256; the file's bytes are the secret, without a final line end."`
	Key        string `xor:"key" placeholder:"FILE" help:"Sign with this private key in PEM: RSA, P-256 or Ed25519."`
	NewKeys    string `xor:"key" placeholder:"FILE" help:"Write a new JWKS with a random HS256 secret first, and sign with it."`
	KID        string `name:"kid" placeholder:"NAME" help:"The key's id."`
}

// Help is shown below the flags.
func (tokenCommand) Help() string {
	return `For development and tests: a node never mints tokens for its devices, your own login service does.

Examples:
  roost token --new-keys keys.json
  roost serve --set auth.keys_file=keys.json
  roost token --keys keys.json --account alice --device phone --send`
}

// Run mints one, or writes new keys, or both.
func (c tokenCommand) Run(t terminal) error {
	if c.NewKeys != "" {
		kid, err := writeNewKeys(c.NewKeys, c.KID)
		if err != nil {
			return err
		}
		fmt.Fprintf(t.err, "wrote %s; start the node with --set auth.keys_file=%s\n", c.NewKeys, c.NewKeys)
		if c.Account == "" {
			return nil
		}
		c.Keys, c.KID = c.NewKeys, kid
	}
	if c.Account == "" {
		return usageError{errors.New("--account is missing")}
	}
	if c.TTL < time.Second {
		return usageError{fmt.Errorf("--ttl %s is shorter than a second, which is the step of exp", c.TTL)}
	}
	if c.Keys == "" && c.SecretFile == "" && c.Key == "" {
		c.Keys = t.variable("ROOST_AUTH_KEYS_FILE")
	}
	signer, err := c.signer()
	if err != nil {
		return err
	}
	now := time.Now()
	grant := auth.Grant{
		Account: c.Account, Device: c.Device, Send: c.Send, Topics: c.Topics,
		Audience: c.Audience, Issued: now, Expires: now.Add(c.TTL),
	}
	if c.Attrs != "" {
		grant.Attrs = []byte(c.Attrs)
	}
	token, err := signer.Mint(grant)
	if err != nil {
		return usageError{err}
	}
	fmt.Fprintln(t.out, token)
	return nil
}

// signer returns the signer for whichever key the flags name.
func (c tokenCommand) signer() (*auth.Signer, error) {
	switch {
	case c.Keys != "":
		text, err := readKeys(c.Keys)
		if err != nil {
			return nil, err
		}
		secret, kid, err := auth.SecretOf(text, c.KID)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.Keys, err)
		}
		return auth.NewSigner("HS256", kid, secret)
	case c.SecretFile != "":
		text, err := readKeys(c.SecretFile)
		if err != nil {
			return nil, err
		}
		return auth.NewSigner("HS256", c.KID, []byte(strings.TrimRight(string(text), "\r\n")))
	case c.Key != "":
		text, err := readKeys(c.Key)
		if err != nil {
			return nil, err
		}
		return signerOfPEM(c.KID, text)
	}
	return nil, usageError{errors.New("a key is missing: --keys FILE, --secret-file FILE or --key FILE; --new-keys FILE makes one")}
}

// signerOfPEM finds the algorithm that the key is for: each kind of key has one.
func signerOfPEM(kid string, text []byte) (*auth.Signer, error) {
	var problems []error
	for _, algorithm := range []string{"ES256", "RS256", "EdDSA"} {
		signer, err := auth.NewSigner(algorithm, kid, text)
		if err == nil {
			return signer, nil
		}
		problems = append(problems, err)
	}
	return nil, problems[0]
}

func readKeys(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usageError{fmt.Errorf("%s does not exist; roost token --new-keys %s makes one", path, path)}
	}
	if err != nil {
		return nil, usageError{err}
	}
	if info.Size() > keyFileBytesMax {
		return nil, usageError{fmt.Errorf("%s is longer than %d bytes, which no key file is", path, keyFileBytesMax)}
	}
	return os.ReadFile(path)
}

// writeNewKeys writes a JWKS with one new secret that only its owner may read.
// It never replaces a file: tokens signed with the old keys would stop working.
func writeNewKeys(path, kid string) (string, error) {
	random := make([]byte, secretBytes)
	rand.Read(random) // never fails (crypto/rand)
	if kid == "" {
		kid = rand.Text()[:8]
	}
	text, err := auth.SecretJWKS(kid, random)
	if err != nil {
		return "", err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return "", usageError{fmt.Errorf("%s exists already; remove it first if its tokens may stop working", path)}
	}
	if err != nil {
		return "", err
	}
	if _, err := f.Write(append(text, '\n')); err != nil {
		f.Close()
		return "", err
	}
	return kid, f.Close()
}

package api

import (
	"bufio"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"os"
	"strings"
)

// tokenBytesMin is the shortest service token that is accepted: 16 bytes of a random
// alphabet cannot be guessed over a network.
const tokenBytesMin = 16

// tokens are the service tokens, as digests: comparing digests of equal length takes
// the same time whatever is presented, and a heap dump does not show the secrets.
type tokens [][sha256.Size]byte

// loadTokens gathers the tokens of the configuration and of its file.
func loadTokens(cfg *Config) (tokens, error) {
	lines, err := withFile(cfg.Tokens, cfg.TokensFile, "tokens_file")
	if err != nil {
		return nil, err
	}
	var ts tokens
	for i, t := range lines {
		if len(t) < tokenBytesMin {
			return nil, fmt.Errorf("api: service token %d is %d bytes long, at least %d are needed", i+1, len(t), tokenBytesMin)
		}
		if strings.ContainsAny(t, " \t\r\n") {
			return nil, fmt.Errorf("api: service token %d has a space in it and could not be sent in a header", i+1)
		}
		ts = append(ts, sha256.Sum256([]byte(t)))
	}
	return ts, nil
}

// CheckSecrets reads the tokens and key pairs, and the files that have them, and reports
// everything that is wrong. New does the same; this is for looking before.
func (c Config) CheckSecrets() error {
	_, tokens := loadTokens(&c)
	_, keys := loadKeys(&c)
	return errors.Join(tokens, keys)
}

// match reports whether the presented token is one of ours. It compares with all of
// them, always.
func (ts tokens) match(presented string) bool {
	sum := sha256.Sum256([]byte(presented))
	found := 0
	for i := range ts {
		found |= subtle.ConstantTimeCompare(sum[:], ts[i][:])
	}
	return found == 1
}

// loadKeys gathers the key pairs of the configuration and of its file: access key id
// to secret.
func loadKeys(cfg *Config) (map[string]string, error) {
	lines, err := withFile(cfg.AWS.Keys, cfg.AWS.KeysFile, "aws.keys_file")
	if err != nil {
		return nil, err
	}
	keys := make(map[string]string, len(lines))
	for i, line := range lines {
		id, secret, ok := strings.Cut(line, ":")
		if !ok || id == "" || secret == "" || strings.ContainsAny(id, "/, ") {
			return nil, fmt.Errorf("api: aws key pair %d is not ACCESS_KEY_ID:SECRET_ACCESS_KEY", i+1)
		}
		if _, twice := keys[id]; twice {
			return nil, fmt.Errorf("api: aws access key id %s is given twice", id)
		}
		keys[id] = secret
	}
	return keys, nil
}

// withFile appends the lines of a secrets file, without blank and comment lines.
func withFile(lines []string, path, setting string) ([]string, error) {
	if path == "" {
		return lines, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("api: %s: %w", setting, err)
	}
	defer f.Close()
	all := append([]string(nil), lines...)
	found := false
	for sc := bufio.NewScanner(f); ; {
		if !sc.Scan() {
			if err := sc.Err(); err != nil {
				return nil, fmt.Errorf("api: %s %s: %w", setting, path, err)
			}
			break
		}
		if line := strings.TrimSpace(sc.Text()); line != "" && line[0] != '#' {
			all = append(all, line)
			found = true
		}
	}
	if !found {
		return nil, fmt.Errorf("api: %s %s has no line with a secret in it", setting, path)
	}
	return all, nil
}

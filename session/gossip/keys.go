package gossip

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/hashicorp/memberlist"
)

// linesFileBytesMax bounds the files that hold one thing a line.
const linesFileBytesMax = 64 << 10

// keysMax bounds the ring: a packet that no key opens costs one try for each.
const keysMax = 16

// parseKeys reads keys in base64. It never shows one.
func parseKeys(texts []string) ([][]byte, error) {
	if len(texts) > keysMax {
		return nil, fmt.Errorf("there are %d keys, at most %d are allowed", len(texts), keysMax)
	}
	var keys [][]byte
	for i, text := range texts {
		key, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("key %d is not base64", i+1)
		}
		if memberlist.ValidateKey(key) != nil {
			return nil, fmt.Errorf("key %d has %d bytes: 16, 24 or 32 are allowed", i+1, len(key))
		}
		if containsKey(keys, key) {
			return nil, fmt.Errorf("key %d is there twice", i+1)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// readLines reads a file of one thing a line; '#' begins a comment line.
func readLines(path string) ([]string, error) {
	info, err := os.Stat(path) // opening a pipe would wait for its writer
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, linesFileBytesMax+1))
	if err != nil {
		return nil, err
	}
	if len(text) > linesFileBytesMax {
		return nil, fmt.Errorf("%s has more than %d bytes", path, linesFileBytesMax)
	}
	return linesOf(string(text)), nil
}

func linesOf(text string) (lines []string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			lines = append(lines, line)
		}
	}
	return lines
}

// keys is the ring that memberlist and our hello share, and the file it comes from.
// Only its owner's goroutine calls poll; the ring may be used from anywhere.
type keys struct {
	file  string
	log   *slog.Logger
	count *counters

	ring      *memberlist.Keyring // nil: gossip is not encrypted, for as long as the process lives
	loaded    [][]byte
	complaint string // what was logged last, so that it is logged once
}

func newKeys(cfg Config, log *slog.Logger, count *counters) (*keys, error) {
	k := &keys{file: cfg.KeysFile, log: log, count: count}
	loaded, err := parseKeys(cfg.Keys)
	if cfg.KeysFile != "" {
		loaded, err = k.read()
	}
	if err != nil || len(loaded) == 0 {
		return k, err
	}
	k.loaded = loaded
	k.ring, err = memberlist.NewKeyring(loaded, loaded[0])
	return k, err
}

func (k *keys) read() ([][]byte, error) {
	lines, err := readLines(k.file)
	if err != nil {
		return nil, fmt.Errorf("keys_file: %w", err)
	}
	loaded, err := parseKeys(lines)
	if err == nil && len(loaded) == 0 {
		err = errors.New("it has no key")
	}
	if err != nil {
		return nil, fmt.Errorf("keys_file %s: %w", k.file, err)
	}
	return loaded, nil
}

// poll takes over a keys file that has changed. One that cannot be used leaves the old
// keys in place.
func (k *keys) poll() {
	if k.file == "" {
		return
	}
	loaded, err := k.read()
	if err == nil && !slices.EqualFunc(loaded, k.loaded, bytes.Equal) {
		if err = k.install(loaded); err == nil {
			k.count.keysReloads.Add(1)
			k.log.Info("gossip keys reloaded", "file", k.file, "keys", len(loaded))
		}
	}
	switch {
	case err == nil:
		k.complaint = ""
	case err.Error() != k.complaint:
		k.complaint = err.Error()
		k.count.keysFailures.Add(1)
		k.log.Error("gossip keys file cannot be used, the old keys stay", "reason", err)
	}
}

// install brings the ring to the loaded keys: first what is new is added, last what is
// old is taken out.
func (k *keys) install(loaded [][]byte) error {
	for _, key := range loaded {
		if err := k.ring.AddKey(key); err != nil {
			return err
		}
	}
	for _, key := range k.loaded {
		if containsKey(loaded, key) {
			continue
		}
		// memberlist's RemoveKey moves what stands behind the key, in a slice that others
		// read without the lock. Using a key puts it to the front, so once all others were
		// used, this one is the last and nothing moves.
		for _, other := range k.ring.GetKeys() {
			if !bytes.Equal(other, key) {
				if err := k.ring.UseKey(other); err != nil {
					return err
				}
			}
		}
		if err := k.ring.RemoveKey(key); err != nil {
			return err
		}
	}
	k.loaded = loaded
	return k.ring.UseKey(loaded[0])
}

func containsKey(keys [][]byte, key []byte) bool {
	return slices.ContainsFunc(keys, func(k []byte) bool { return bytes.Equal(k, key) })
}

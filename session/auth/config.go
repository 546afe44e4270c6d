package auth

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// The modes.
const (
	ModeToken = "token" // a signed token says who is calling
	ModeNone  = "none"  // the query is believed; loopback only, unless forced
)

// Config is what an operator may set. Keys are reloaded when their file changes;
// the rest is read once.
type Config struct {
	Mode             string        `yaml:"mode" doc:"token: a signed token (JWT) says who is calling; none: the query's account and device are believed, on loopback listeners only"`
	ForceNone        bool          `yaml:"force_none" doc:"allow mode none on listeners that are not loopback; anybody who reaches them may be anybody"`
	Algorithms       []string      `yaml:"algorithms" doc:"signature algorithms that are taken, a subset of HS256 RS256 ES256 EdDSA; each key serves one of them only"`
	KeysFile         string        `yaml:"keys_file" doc:"file with the keys: a JWKS (JSON; kty oct for HS256 secrets) or PEM with public keys or certificates; required in mode token"`
	Audience         string        `yaml:"audience" doc:"the token's aud must name this; empty: aud is not looked at"`
	Leeway           time.Duration `yaml:"leeway" doc:"how far an issuer's clock may be off, for exp and nbf; 2s covers hosts kept by NTP and issuers that round up to a second"`
	TokenBytesMax    int           `yaml:"token_bytes_max" doc:"longest token in bytes; 4096 leaves room for a certificate-sized signature and attrs, and fits a request line"`
	DepthMax         int           `yaml:"depth_max" doc:"deepest nesting of JSON objects and arrays in a token; bounds the reader's stack"`
	AttrsBytesMax    int           `yaml:"attrs_bytes_max" doc:"largest attrs claim in bytes, without white space; it is kept in every record of the device"`
	TopicsMax        int           `yaml:"topics_max" doc:"most entries of the topics claim; each is matched when the device subscribes"`
	KeysFileBytesMax int           `yaml:"keys_file_bytes_max" doc:"largest keys file in bytes; 1 MiB holds thousands of keys"`
	KeysMax          int           `yaml:"keys_max" doc:"most keys in the file; a rotation needs two for each issuer"`
	TrialKeysMax     int           `yaml:"trial_keys_max" doc:"most keys tried for one token, which bounds its cost; a token without kid is tried with every key of its algorithm"`
	CacheEntriesMax  int           `yaml:"cache_entries_max" doc:"good verdicts of public-key tokens that are remembered until they expire, about 300 bytes each; 0 turns the cache off"`
	ReloadInterval   time.Duration `yaml:"reload_interval" doc:"time between two looks at the keys file; a changed one is loaded, a broken one is logged and the old keys stay"`
}

// Default returns the values that a node starts from. They want a KeysFile: without
// one, and without an explicit mode none, nobody gets in.
func Default() Config {
	return Config{
		Mode:             ModeToken,
		Algorithms:       []string{"HS256", "RS256", "ES256", "EdDSA"},
		Leeway:           2 * time.Second,
		TokenBytesMax:    4096,
		DepthMax:         16,
		AttrsBytesMax:    512,
		TopicsMax:        64,
		KeysFileBytesMax: 1 << 20,
		KeysMax:          64,
		TrialKeysMax:     8,
		CacheEntriesMax:  1 << 16,
		ReloadInterval:   5 * time.Second,
	}
}

// Validate reports the first setting that cannot be meant.
func (c Config) Validate() error {
	switch c.Mode {
	case ModeNone:
		return nil
	case ModeToken:
	default:
		return fmt.Errorf("auth: mode is %q: write token or none", c.Mode)
	}
	if c.KeysFile == "" {
		return fmt.Errorf("auth: mode token needs keys_file (a JWKS or PEM file); mode none needs no keys but believes everybody")
	}
	if len(c.Algorithms) == 0 {
		return fmt.Errorf("auth: algorithms is empty: no token could be taken")
	}
	for i, name := range c.Algorithms {
		if _, ok := parseAlgorithm([]byte(name)); !ok {
			return fmt.Errorf("auth: algorithms has %q: only %s are known", name, strings.Join(algorithmNames[:], ", "))
		}
		if slices.Contains(c.Algorithms[:i], name) {
			return fmt.Errorf("auth: algorithms has %s twice", name)
		}
	}
	if c.Leeway < 0 || c.Leeway > 10*time.Minute || c.Leeway%time.Millisecond != 0 {
		return fmt.Errorf("auth: leeway is %v: 0 to 10m in whole milliseconds are allowed", c.Leeway)
	}
	if c.ReloadInterval < 100*time.Millisecond || c.ReloadInterval > 24*time.Hour {
		return fmt.Errorf("auth: reload_interval is %v: 100ms to 24h are allowed", c.ReloadInterval)
	}
	for _, l := range []struct {
		name             string
		value, low, high int
	}{
		{"token_bytes_max", c.TokenBytesMax, 128, 1 << 16},
		{"depth_max", c.DepthMax, 2, 64},
		{"attrs_bytes_max", c.AttrsBytesMax, 2, c.TokenBytesMax},
		{"topics_max", c.TopicsMax, 1, 4096},
		{"keys_file_bytes_max", c.KeysFileBytesMax, 256, 1 << 26},
		{"keys_max", c.KeysMax, 1, 4096},
		{"trial_keys_max", c.TrialKeysMax, 1, 64},
		{"cache_entries_max", c.CacheEntriesMax, 0, 1 << 24},
	} {
		if l.value < l.low || l.value > l.high {
			return fmt.Errorf("auth: %s is %d: %d to %d are allowed", l.name, l.value, l.low, l.high)
		}
	}
	return nil
}

// CheckListener reports whether a public listener at addr (host:port) may be served
// in this mode: mode none is for loopback unless ForceNone is set. It resolves no
// names: of those only localhost is taken for loopback.
func (c Config) CheckListener(addr string) error {
	if c.Mode != ModeNone || c.ForceNone || loopback(addr) {
		return nil
	}
	return fmt.Errorf("auth: mode none would let anybody who reaches %s be anybody: listen on 127.0.0.1 or [::1], use mode token, or set force_none", addr)
}

func loopback(addr string) bool {
	host := addr
	if i := strings.LastIndexByte(addr, ':'); i >= 0 {
		host = addr[:i]
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
	return err == nil && ip.Unmap().IsLoopback()
}

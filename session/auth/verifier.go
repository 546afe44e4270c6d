package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Verifier checks tokens against the keys of one file. It is safe for use by any
// number of goroutines. The owner calls Close once; the verifier keeps answering
// after that, with the keys it has.
//
// A check goes through these steps: parse (token.go), pick the keys (keyring.go),
// look for a verdict (cache.go), read the claims (payload.go), check the times and the
// signature, then build the Claims.
type Verifier struct {
	cfg          Config
	log          *slog.Logger
	now          func() time.Time
	leewayMS     int64
	allowed      [algorithms]bool
	allowedNames string
	ring         atomic.Pointer[keyring] // nil: mode none
	spaces       sync.Pool               // of *scratch
	file         keysFile                // the watching goroutine's, after New
	reloads      atomic.Uint64
	failures     atomic.Uint64
	stop         chan struct{}
	stopped      sync.WaitGroup
}

// New reads the keys and starts the goroutine that watches their file; Close ends
// it. The clock is used for that file only. Errors name the setting or the file. In
// mode none there are no keys, and every token is answered with ErrOff.
func New(cfg Config, log *slog.Logger, now func() time.Time) (*Verifier, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	v := &Verifier{cfg: cfg, log: log, now: now, leewayMS: cfg.Leeway.Milliseconds(), stop: make(chan struct{})}
	v.allowedNames = strings.Join(cfg.Algorithms, ", ")
	v.spaces.New = func() any { return newScratch(cfg.TokenBytesMax) }
	if cfg.Mode == ModeNone {
		return v, nil
	}
	for _, name := range cfg.Algorithms {
		a, _ := parseAlgorithm([]byte(name))
		v.allowed[a] = true
	}
	if err := v.load(); err != nil {
		return nil, fmt.Errorf("auth: keys file %s: %w", cfg.KeysFile, err)
	}
	v.stopped.Go(v.watch)
	return v, nil
}

// Close ends the watching of the keys file and waits for it.
func (v *Verifier) Close() {
	close(v.stop)
	v.stopped.Wait()
}

func newScratch(tokenBytes int) *scratch {
	return &scratch{decoded: make([]byte, 0, tokenBytes), sum: make([]byte, 0, sha256.Size)}
}

// Quick answers what costs little, on the caller's goroutine and without waiting:
// refusals of form, HS256, and public-key tokens that were verified before. done is
// false if the token needs Verify, on a pool of the caller's. token is borrowed.
// HOT PATH.
func (v *Verifier) Quick(token []byte, now time.Time) (c Claims, done bool, err error) {
	ring := v.ring.Load()
	if ring == nil {
		return Claims{}, true, ErrOff
	}
	s := v.spaces.Get().(*scratch)
	defer v.spaces.Put(s)
	t, keys, err := v.open(ring, s, token)
	switch {
	case err != nil:
		return Claims{}, true, err
	case t.alg == hs256:
		c, _, err = v.check(s, &t, keys, now)
		return c, true, err
	}
	hit, known := ring.cache.get(sha256.Sum256(token))
	if !known {
		return Claims{}, false, nil
	}
	c, err = v.recall(hit, now)
	return c, true, err
}

// Verify answers for any token; a public-key signature costs 30 to 80 µs of CPU. A
// good verdict on one is remembered for Quick. token is borrowed.
func (v *Verifier) Verify(token []byte, now time.Time) (Claims, error) {
	// The ring is taken once: a verdict reached with old keys goes to the old cache.
	ring := v.ring.Load()
	if ring == nil {
		return Claims{}, ErrOff
	}
	s := v.spaces.Get().(*scratch)
	defer v.spaces.Put(s)
	t, keys, err := v.open(ring, s, token)
	if err != nil {
		return Claims{}, err
	}
	if t.alg == hs256 {
		c, _, err := v.check(s, &t, keys, now)
		return c, err
	}
	digest := sha256.Sum256(token)
	if hit, known := ring.cache.get(digest); known {
		return v.recall(hit, now)
	}
	c, notBeforeMS, err := v.check(s, &t, keys, now)
	if err != nil {
		return Claims{}, err
	}
	ring.cache.put(digest, verdict{claims: c, notBeforeMS: notBeforeMS}, now.UnixMilli())
	return c, nil
}

// open parses the token and picks the keys that may have signed it.
func (v *Verifier) open(ring *keyring, s *scratch, raw []byte) (t token, keys []*key, err error) {
	if t, err = v.parse(s, raw); err != nil {
		return t, nil, err
	}
	if want := signatureBytes[t.alg]; want != 0 && len(t.signature) != want {
		return t, nil, ErrSignature.because("it has %d bytes, %v has %d", len(t.signature), t.alg, want)
	}
	keys, err = ring.pick(t.alg, t.kid)
	return t, keys, err
}

// signatureBytes is how long signatures are; those of RSA are as long as their key.
var signatureBytes = [algorithms]int{hs256: sha256.Size, es256: 64, eddsa: 64}

// check reads the claims, then checks times, audience and signature.
func (v *Verifier) check(s *scratch, t *token, keys []*key, now time.Time) (c Claims, notBeforeMS int64, err error) {
	p, err := v.readPayload(t.payload)
	if err != nil {
		return c, 0, err
	}
	if err = v.checkTimes(p.expMS+v.leewayMS, p.nbfMS, now); err != nil {
		return c, 0, err
	}
	if v.cfg.Audience != "" && !p.audience {
		return c, 0, ErrAudience.because("aud does not name %q", v.cfg.Audience)
	}
	if !signed(s, t, keys) {
		return c, 0, ErrSignature
	}
	c, err = v.claims(s, &p)
	return c, p.nbfMS, err
}

// recall answers from a verdict: only the times can have changed since.
func (v *Verifier) recall(hit verdict, now time.Time) (Claims, error) {
	if err := v.checkTimes(hit.claims.ExpiresMS, hit.notBeforeMS, now); err != nil {
		return Claims{}, err
	}
	return hit.claims, nil
}

// signed reports whether one of the keys made the signature.
func signed(s *scratch, t *token, keys []*key) bool {
	var text string // of the input, for the library; not made for HS256
	for _, k := range keys {
		if t.alg == hs256 {
			s.sum = k.mac(s.sum[:0], t.input)
			if hmac.Equal(s.sum, t.signature) {
				return true
			}
			continue
		}
		if text == "" {
			text = string(t.input)
		}
		if methods[t.alg].Verify(text, t.signature, k.public) == nil {
			return true
		}
	}
	return false
}

// Stats is what the verifier has done since New; counters only grow.
type Stats struct {
	Keys           int    // keys in use
	CacheEntries   int    // verdicts held
	CacheHits      uint64 // since the keys were loaded last
	CacheMisses    uint64 // since the keys were loaded last
	Reloads        uint64 // changed key files taken
	ReloadFailures uint64 // changed key files that were not taken
}

// Stats may be called from any goroutine.
func (v *Verifier) Stats() Stats {
	st := Stats{Reloads: v.reloads.Load(), ReloadFailures: v.failures.Load()}
	if ring := v.ring.Load(); ring != nil {
		st.Keys = ring.count()
		st.CacheEntries, st.CacheHits, st.CacheMisses = ring.cache.stats()
	}
	return st
}

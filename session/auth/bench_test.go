package auth

import (
	"testing"
	"time"
)

// grant is a usual token: some 250 bytes with HS256.
func grant() Grant {
	return Grant{Account: "account-1234567", Device: "device-12", Send: true, Issued: noon, Expires: noon.Add(time.Hour)}
}

func mintFor(t testing.TB, alg string) []byte {
	key, kid := secret, "hs"
	if alg != "HS256" {
		key, kid = privatePEM(alg), map[string]string{"RS256": "rs", "ES256": "es", "EdDSA": "ed"}[alg]
	}
	token, err := Mint(alg, kid, key, grant())
	if err != nil {
		t.Fatal(err)
	}
	return []byte(token)
}

func BenchmarkQuick(b *testing.B) {
	f := open(b, allKeys(), nil)
	run := func(name string, token []byte, good bool) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, done, err := f.Quick(token, noon); !done || (err == nil) != good {
					b.Fatal(done, err)
				}
			}
		})
	}
	hs := mintFor(b, "HS256")
	run("HS256", hs, true)
	run("HS256/forged", []byte(flip(string(hs), -5)), false)
	for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
		token := mintFor(b, alg)
		if _, err := f.Verify(token, noon); err != nil {
			b.Fatal(err)
		}
		run("cached/"+alg, token, true)
	}
}

func BenchmarkQuickParallel(b *testing.B) {
	f := open(b, allKeys(), nil)
	token := mintFor(b, "HS256")
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, _, err := f.Quick(token, noon); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	f := open(b, allKeys(), func(c *Config) { c.CacheEntriesMax = 0 })
	for _, alg := range Default().Algorithms {
		token := mintFor(b, alg)
		b.Run(alg, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.Verify(token, noon); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestQuickAllocates holds the promise of the hot path: nothing for a remembered
// token, one string for a new HS256 token of names only.
func TestQuickAllocates(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool drops items under the race detector")
	}
	f := open(t, allKeys(), nil)
	hs, ed := mintFor(t, "HS256"), mintFor(t, "EdDSA")
	if _, err := f.Verify(ed, noon); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		token []byte
		most  float64
	}{"HS256": {hs, 1}, "remembered": {ed, 0}} {
		if n := testing.AllocsPerRun(200, func() { _, _, _ = f.Quick(c.token, noon) }); n > c.most {
			t.Errorf("%s: %v allocations, at most %v are promised", name, n, c.most)
		}
	}
}

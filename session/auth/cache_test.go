package auth

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestCacheChangesNothing: whatever is asked in whatever order, and with clocks that
// go backwards, a verifier with a tiny cache answers as one without.
func TestCacheChangesNothing(t *testing.T) {
	tiny := open(t, allKeys(), func(c *Config) { c.CacheEntriesMax = 3 })
	none := open(t, allKeys(), func(c *Config) { c.CacheEntriesMax = 0 })
	var tokens []string
	for i := range 6 {
		for _, alg := range []string{"HS256", "EdDSA"} {
			good := craft(alg, fmt.Sprintf(`{"alg":%q}`, alg),
				fmt.Sprintf(`{"sub":"a%d","exp":%d,"nbf":%d,"topics":["t"],"attrs":{"i":%d}}`, i, noon.Unix()+int64(20*i), noon.Unix()-60+int64(10*i), i))
			tokens = append(tokens, good, flip(good, -5))
		}
	}
	hits := uint64(0)
	rapid.Check(t, func(r *rapid.T) {
		for range rapid.IntRange(1, 60).Draw(r, "steps") {
			token := rapid.SampledFrom(tokens).Draw(r, "token")
			now := noon.Add(time.Duration(rapid.IntRange(-100, 150).Draw(r, "second")) * time.Second)
			if rapid.Bool().Draw(r, "sweep") {
				tiny.ring.Load().cache.sweep(now.UnixMilli())
			}
			got, gotErr := tiny.ask(token, now)
			want, wantErr := none.ask(token, now)
			if !reflect.DeepEqual(got, want) || fmt.Sprint(gotErr) != fmt.Sprint(wantErr) {
				r.Fatalf("with cache %+v, %v; without %+v, %v", got, gotErr, want, wantErr)
			}
			if n := tiny.Stats().CacheEntries; n > 3 {
				r.Fatalf("%d entries, at most 3 are allowed", n)
			}
		}
		hits = tiny.Stats().CacheHits
	})
	if hits == 0 {
		t.Fatal("the cache was never hit: nothing was compared")
	}
}

// TestCacheBound: the bound holds for every size, and room is made first by what has
// expired.
func TestCacheBound(t *testing.T) {
	for _, most := range []int{1, 2, 15, 16, 17, 100} {
		c := newCache(most)
		for i := range 500 {
			var digest [sha256.Size]byte
			binary.LittleEndian.PutUint64(digest[:], uint64(i))
			c.put(digest, verdict{claims: Claims{ExpiresMS: 10}}, 0)
			if n, _, _ := c.stats(); n > most {
				t.Fatalf("%d entries in a cache of %d", n, most)
			}
			if _, known := c.get(digest); !known {
				t.Fatalf("the newest entry is not there (cache of %d)", most)
			}
		}
	}
	c := newCache(1)
	c.put([32]byte{1}, verdict{claims: Claims{ExpiresMS: 10}}, 0)
	c.put([32]byte{1}, verdict{claims: Claims{ExpiresMS: 20}}, 0)
	if hit, _ := c.get([32]byte{1}); hit.claims.ExpiresMS != 20 {
		t.Fatal("an entry was not replaced by its like")
	}
}

// TestBadVerdictsAreNotKept: nobody fills the cache without the issuer's signature.
func TestBadVerdictsAreNotKept(t *testing.T) {
	f := open(t, allKeys(), nil)
	good := craft("EdDSA", `{"alg":"EdDSA"}`, plain)
	for _, bad := range []string{
		flip(good, -5),
		craft("EdDSA", `{"alg":"EdDSA"}`, `{"sub":"ann","exp":1}`),
		craft("EdDSA", `{"alg":"EdDSA"}`, `{"sub":"a b","exp":1800000060}`),
		craft("EdDSA", `{"alg":"EdDSA"}`, `{"sub":"ann","exp":1800000060,"nbf":1800000050}`),
		craft("HS256", hsHeader, plain),
	} {
		_, _ = f.ask(bad, noon)
		if f.Stats().CacheEntries != 0 {
			t.Fatalf("kept: %s", bad)
		}
	}
}

// TestConcurrently: loops and pool workers ask while keys are rotated. The race detector
// is the judge, and every answer is one that old or new keys give.
func TestConcurrently(t *testing.T) {
	f := open(t, allKeys(), func(c *Config) { c.CacheEntriesMax = 8 })
	var tokens []string
	for i := range 4 {
		for _, alg := range Default().Algorithms {
			tokens = append(tokens, craft(alg, fmt.Sprintf(`{"alg":%q}`, alg), fmt.Sprintf(`{"sub":"a%d","exp":1800000060,"topics":["t%d"]}`, i, i)))
		}
	}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 100 {
				n := (i + g) % len(tokens)
				c, err := f.ask(tokens[n], noon)
				if err == nil && (c.Account != fmt.Sprintf("a%d", n/4) || c.Topics[0] != fmt.Sprintf("t%d", n/4)) {
					t.Errorf("token of a%d answered with %+v", n/4, c)
				}
			}
		})
	}
	for i := range 10 {
		f.write(t, [][]byte{rotated(), allKeys()}[i%2])
		f.poll()
	}
	wg.Wait()
	if f.Stats().Reloads != 10 {
		t.Errorf("%d reloads instead of 10", f.Stats().Reloads)
	}
}

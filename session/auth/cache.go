package auth

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
)

// verdict is what a good public-key token said.
type verdict struct {
	claims      Claims
	notBeforeMS int64
}

// cache remembers good verdicts by the SHA-256 of the whole token. That is safe
// without comparing tokens: to be taken for another token, one would have to collide
// in SHA-256 with it. It also means that no token stays in memory, and that an entry's size
// does not depend on the token's. Nobody can steer where entries go: only tokens
// that the issuer signed get here, and Go's maps are seeded.
//
// A cache belongs to one keyring and is dropped with it.
type cache struct {
	shards   []cacheShard
	shardMax int // entries in each shard
}

type cacheShard struct {
	mu           sync.Mutex // held for a few map operations
	verdicts     map[[sha256.Size]byte]verdict
	hits, misses uint64
}

// cacheShards is enough that two loops seldom meet at one mutex.
const cacheShards = 16

// newCache returns a cache of at most the given number of entries; nil, which
// remembers nothing, for 0.
func newCache(entriesMax int) *cache {
	if entriesMax == 0 {
		return nil
	}
	n := min(cacheShards, entriesMax)
	c := &cache{shards: make([]cacheShard, n), shardMax: entriesMax / n}
	for i := range c.shards {
		c.shards[i].verdicts = make(map[[sha256.Size]byte]verdict)
	}
	return c
}

func (c *cache) shard(digest *[sha256.Size]byte) *cacheShard {
	return &c.shards[binary.LittleEndian.Uint32(digest[:])%uint32(len(c.shards))]
}

func (c *cache) get(digest [sha256.Size]byte) (hit verdict, known bool) {
	if c == nil {
		return hit, false
	}
	s := c.shard(&digest)
	s.mu.Lock()
	defer s.mu.Unlock()
	if hit, known = s.verdicts[digest]; known {
		s.hits++
	} else {
		s.misses++
	}
	return hit, known
}

// put remembers a verdict. In a full shard it replaces, of a few at random (a map's
// iteration begins anywhere), the one that expires first.
func (c *cache) put(digest [sha256.Size]byte, good verdict, nowMS int64) {
	if c == nil {
		return
	}
	s := c.shard(&digest)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.verdicts[digest]; !known && len(s.verdicts) >= c.shardMax {
		s.evictLocked(nowMS)
	}
	s.verdicts[digest] = good
}

func (s *cacheShard) evictLocked(nowMS int64) {
	const sample = 8
	var victim [sha256.Size]byte
	var expiresMS int64
	seen := 0
	for digest, one := range s.verdicts {
		if seen == 0 || one.claims.ExpiresMS < expiresMS {
			victim, expiresMS = digest, one.claims.ExpiresMS
		}
		if seen++; seen == sample || expiresMS <= nowMS {
			break
		}
	}
	delete(s.verdicts, victim)
}

// sweep looks at some verdicts of each shard, beginning anywhere, and forgets those
// that have expired. It does not look at all, so that no loop waits long for a mutex.
func (c *cache) sweep(nowMS int64) {
	if c == nil {
		return
	}
	for i := range c.shards {
		c.shards[i].sweep(nowMS)
	}
}

func (s *cacheShard) sweep(nowMS int64) {
	left := 512 // some 10 µs
	s.mu.Lock()
	defer s.mu.Unlock()
	for digest, one := range s.verdicts {
		if one.claims.ExpiresMS <= nowMS {
			delete(s.verdicts, digest)
		}
		if left--; left == 0 {
			return
		}
	}
}

func (c *cache) stats() (entries int, hits, misses uint64) {
	if c == nil {
		return 0, 0, 0
	}
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		entries += len(s.verdicts)
		hits += s.hits
		misses += s.misses
		s.mu.Unlock()
	}
	return entries, hits, misses
}

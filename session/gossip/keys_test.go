package gossip

import (
	"bytes"
	"slices"
	"sync"
	"testing"

	"github.com/hashicorp/memberlist"
	"pgregory.net/rapid"
)

// TestRingFollowsFile: whatever keys replace whatever keys, the ring ends as the file
// says, with its first in use, while others read it.
func TestRingFollowsFile(t *testing.T) {
	drawKeys := rapid.SliceOfNDistinct(rapid.ByteRange(1, 6), 1, 6, rapid.ID[byte])
	draw := func(t *rapid.T) (keys [][]byte) {
		for _, b := range drawKeys.Draw(t, "keys") {
			keys = append(keys, bytes.Repeat([]byte{b}, []int{16, 24, 32}[b%3]))
		}
		return keys
	}
	rapid.Check(t, func(t *rapid.T) {
		first := draw(t)
		ring, err := memberlist.NewKeyring(first, first[0])
		if err != nil {
			t.Fatal(err)
		}
		k := &keys{ring: ring, loaded: first}
		done := make(chan struct{})
		var reading sync.WaitGroup
		defer reading.Wait()
		defer close(done)
		reading.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				for _, key := range ring.GetKeys() {
					_ = gcm(key)
				}
			}
		})
		for range 5 {
			next := draw(t)
			if err := k.install(next); err != nil {
				t.Fatal(err)
			}
			got := ring.GetKeys()
			same := len(got) == len(next) && bytes.Equal(got[0], next[0])
			for _, key := range next {
				same = same && slices.ContainsFunc(got, func(g []byte) bool { return bytes.Equal(g, key) })
			}
			if !same {
				t.Fatalf("got %x, want %x", got, next)
			}
		}
	})
}

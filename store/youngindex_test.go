package store

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/roostpush/roost/session"
)

// TestYoungIndexAgainstModel: numbers that repeat, are neighbours or far apart, and hashes that
// are alike.
func TestYoungIndexAgainstModel(t *testing.T) {
	type name struct {
		number session.MessageID
		hash   uint64
	}
	rapid.Check(t, func(t *rapid.T) {
		var x youngIndex
		g := &mailGroup{}
		model := map[name]int{} // to the entry
		draw := func(t *rapid.T) name {
			n := rapid.SampledFrom([]uint64{0, 1, 2, youngBlockSize - 1, youngBlockSize, 5 * youngBlockSize, 1 << 40, 1<<64 - 1}).Draw(t, "number")
			return name{session.MessageID(n), rapid.Uint64Range(0, 5).Draw(t, "hash")}
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				k := draw(t)
				_, is := model[k]
				if added := x.add(k.number, k.hash, youngRef{g, len(g.entries)}); added && is {
					t.Fatal("it is there twice")
				} else if added {
					model[k] = len(g.entries)
					g.entries = append(g.entries, youngEntry{number: k.number, hash: k.hash})
				} else if others := len(x.others); !is && others == 0 {
					t.Fatal("there was room")
				}
			},
			"remove": func(t *rapid.T) {
				k := draw(t)
				if _, is := model[k]; is {
					x.remove(k.number, k.hash)
					delete(model, k)
				}
			},
			"": func(t *rapid.T) {
				live := len(x.others)
				for at, b := range x.blocks {
					n := 0
					for i, ref := range b.refs {
						if ref.group != nil {
							if n++; ref.entry().number != at*youngBlockSize+session.MessageID(i) {
								t.Fatal("a message has another's place")
							}
						}
					}
					if n == 0 || n != b.live {
						t.Fatalf("%d messages in a block of %d", n, b.live)
					}
					live += n
				}
				if x.count != len(model) || live != len(model) {
					t.Fatalf("%d messages, %d in their places, of %d", x.count, live, len(model))
				}
				for _, b := range x.spare {
					if *b != (youngBlock{}) {
						t.Fatal("a spare block holds something")
					}
				}
				for k, at := range model {
					if ref, ok := x.find(k.number, k.hash); !ok || ref.at != at {
						t.Fatalf("%v is not found", k)
					}
				}
			},
		})
	})
}

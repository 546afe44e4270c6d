package peer

import (
	"testing"

	"pgregory.net/rapid"
)

// TestFlights draws takes, answers and expiries and compares with a map: every flight
// ends exactly once, and a ref that has ended stays so.
func TestFlights(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := flights{max: rapid.IntRange(1, 600).Draw(t, "max")}
		receipt := expecting(0)
		type flying struct {
			tag uint64
			due uint32
		}
		model := map[uint64]flying{}
		var over []uint64
		tag := uint64(0)
		ended := func(ref uint64) { delete(model, ref); over = append(over, ref) }
		t.Repeat(map[string]func(*rapid.T){
			"take": func(t *rapid.T) {
				for range rapid.IntRange(1, 300).Draw(t, "times") {
					due := rapid.Uint32Range(1<<31-50, 1<<31+50).Draw(t, "due")
					tag++
					ref, ok := f.take(receipt, tag, due)
					if ok != (len(model) < f.max) || ok && (ref == 0 || model[ref].tag != 0) {
						t.Fatalf("take with %d of %d: %v, ref %x", len(model), f.max, ok, ref)
					}
					if ok {
						model[ref] = flying{tag, due}
					}
				}
			},
			"answer": func(t *rapid.T) {
				final := rapid.Bool().Draw(t, "final")
				for ref, want := range model {
					if l := f.answer(ref, final); l.receipt == nil || l.tag != want.tag {
						t.Fatalf("%x is %+v, want %d", ref, l, want.tag)
					}
					if final {
						ended(ref)
					}
					break
				}
			},
			"late answer": func(t *rapid.T) {
				for _, ref := range over[max(0, len(over)-20):] {
					if l := f.answer(ref, true); l.receipt != nil {
						t.Fatalf("%x ended before, now it is %d", ref, l.tag)
					}
				}
				if f.answer(rapid.Uint64Range(uint64(len(f.pages))*flightPageSlots+1, 1<<32-1).Draw(t, "ref"), true).receipt != nil {
					t.Fatal("a ref that never was is known")
				}
			},
			"expire": func(t *rapid.T) {
				now := rapid.Uint32Range(1<<31-50, 1<<31+50).Draw(t, "now")
				all := rapid.IntRange(0, 9).Draw(t, "all") == 0
				gone := map[uint64]bool{}
				for page := range f.pages {
					for _, l := range f.expire(nil, page, now, all) {
						gone[l.tag] = true
					}
				}
				for ref, want := range model {
					if due := all || int32(now-want.due) >= 0; due != gone[want.tag] {
						t.Fatalf("%x due at %d: expired %v at %d", ref, want.due, gone[want.tag], now)
					} else if due {
						ended(ref)
					}
				}
			},
			"": func(t *rapid.T) {
				if f.n != len(model) {
					t.Fatalf("%d are in flight, want %d", f.n, len(model))
				}
			},
		})
	})
}

package mailbox

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestWheel compares the wheel with a list: every box comes once its time is over, at most
// two slots of the finest level later, and not before.
func TestWheel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w wheel
		now := rapid.Int64Range(0, 1<<42).Draw(t, "start")
		w.now = now >> tickBits
		var in []*box
		span := rapid.SampledFrom([]int64{1000, 100_000, 40_000_000, 1 << 36})
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch step := rapid.IntRange(0, 4).Draw(t, "step"); {
			case step <= 1 || len(in) == 0:
				b := &box{}
				in = append(in, b)
				w.put(b, now+rapid.Int64Range(-10, span.Draw(t, "span")).Draw(t, "due"))
			case step == 2:
				w.put(rapid.SampledFrom(in).Draw(t, "box"), now+rapid.Int64Range(-10, span.Draw(t, "span")).Draw(t, "due"))
			case step == 3:
				i := rapid.IntRange(0, len(in)-1).Draw(t, "box")
				w.take(in[i])
				in = slices.Delete(in, i, i+1)
			default:
				now += rapid.Int64Range(0, span.Draw(t, "span")).Draw(t, "pass")
				for _, b := range w.turn(nil, now) {
					i := slices.Index(in, b)
					if i < 0 || b.dueMS > now {
						t.Fatalf("a box due at %d came at %d, %d of those expected", b.dueMS, now, i)
					}
					if b.slot != nil || b.prev != nil || b.next != nil {
						t.Fatal("a box that is due is still in a slot")
					}
					in = slices.Delete(in, i, i+1)
				}
				for _, b := range in {
					if now-b.dueMS >= 3<<tickBits {
						t.Fatalf("a box due at %d has not come at %d", b.dueMS, now)
					}
				}
			}
		}
	})
}

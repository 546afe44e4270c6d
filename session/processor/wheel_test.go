package processor

import (
	"testing"

	"pgregory.net/rapid"
)

// TestWheelTurnsOutWhatIsDue draws tasks and times. Nothing comes out early, and nothing
// that has been due for two ticks stays in.
func TestWheelTurnsOutWhatIsDue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w wheel
		in := map[*task]bool{}
		now := int64(1)
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				x := &task{dueMS: now + int64(rapid.OneOf(rapid.IntRange(0, 300), rapid.IntRange(0, 40_000)).Draw(t, "in ms"))}
				in[x] = true
				w.add(x)
			},
			"turn": func(t *rapid.T) {
				now += int64(rapid.OneOf(rapid.IntRange(0, 100), rapid.IntRange(0, 20_000)).Draw(t, "ms later"))
				w.turn(now, func(x *task) {
					if !in[x] {
						t.Fatal("a task came out twice")
					}
					if x.next != nil {
						t.Fatal("a task came out with others behind it")
					}
					delete(in, x)
					if x.dueMS > now {
						t.Fatalf("a task came out %d ms early", x.dueMS-now)
					}
				})
				for x := range in {
					if x.dueMS < now-2*wheelTickMS {
						t.Fatalf("a task is in that was due %d ms ago", now-x.dueMS)
					}
				}
			},
			"": func(t *rapid.T) {
				if w.length != len(in) {
					t.Fatalf("%d are in, it says %d", len(in), w.length)
				}
			},
		})
	})
}

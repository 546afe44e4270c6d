package mailbox

import (
	"fmt"
	"strings"
	"testing"

	"github.com/roostpush/roost/session"
)

// step is something that may happen now.
type step struct {
	name string
	do   func()
}

// script is what happens in a scenario besides what follows from it: posts, in order; what
// a device does, in order; and whether the node may crash once. Everything else, such as the syncs of
// the store, what the mailbox is told of sessions, the workers, and what comes of each attempt, may happen
// whenever it can.
type script struct {
	name    string
	posts   []Push
	device  string // c: connects, x: its connection ends
	crash   bool
	busy    int // attempts that are overloaded
	ackless int // sessions on which the device acknowledges nothing
}

// TestInterleavings goes through every order in which the steps of each scenario can
// happen. In the end the device is connected and acknowledges all it gets, and nothing may be
// left: no wake-up is lost. On the way no session gets a message twice, and nothing comes after its
// ack in the same run of the node.
func TestInterleavings(t *testing.T) {
	one, two := []Push{{Device: "d"}}, []Push{{Device: "d"}, {Device: "d"}}
	for _, s := range []script{
		{name: "connect", posts: one, device: "c"},
		{name: "reconnect", posts: one, device: "cxc"},
		{name: "reconnect without acks", posts: one, device: "cxc", ackless: 1},
		{name: "connect elsewhere", posts: one, device: "cc"},
		{name: "two messages", posts: two, device: "c"},
		{name: "two messages, elsewhere, without acks", posts: two, device: "cc", ackless: 1},
		{name: "overloaded", posts: one, device: "cxc", busy: 1},
		{name: "crash", posts: one, device: "c", crash: true},
		{name: "crash, two messages", posts: two, device: "c", crash: true},
		{name: "crash, reconnect", posts: one, device: "cxc", crash: true, ackless: 1},
		{name: "collapse", posts: []Push{{Device: "d", Collapse: "k"}, {Device: "d", Collapse: "k"}}, device: "c"},
	} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			runs := 0
			var choices []int
			for more := true; more; choices, more = nextChoices(choices) {
				runs++
				var widths []int
				var trace []string
				choices, widths, trace = s.run(t, choices)
				if trace != nil {
					t.Fatalf("run %d:\n%s", runs, strings.Join(trace, "\n"))
				}
				branching = widths
				_ = branching
				choices = pack(choices, widths)
				if runs == interleavingsMax {
					t.Fatalf("more than %d orders: make the scenario smaller", runs)
				}
			}
			t.Logf("%d orders", runs)
		})
	}
}

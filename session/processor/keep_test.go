package processor

import (
	"slices"
	"testing"

	"github.com/roostpush/roost/session"
)

// chest is a mailbox that the test answers for.
type chest struct {
	messages  []session.Kept
	watchers  []Watcher
	unwatched []session.ID
	atOnce    bool
}

func (c *chest) Keep(m *session.Kept, w Watcher) {
	if c.atOnce {
		w.Kept(session.ID{Number: 1}, 1, session.Pending, "")
		return
	}
	c.messages, c.watchers = append(c.messages, *m), append(c.watchers, w)
}

func (c *chest) Unwatch(id session.ID) { c.unwatched = append(c.unwatched, id) }

func TestKeepingIsQueuedOnceItIsAPromise(t *testing.T) {
	c := new(chest)
	k := NewKeeping(c)
	r := &Record{Account: "a", Device: "d", Kind: session.Text, Payload: []byte("x"), SentMS: 1000, TTLMS: 500, Priority: session.PriorityHigh, Trace: trace}
	var results [3][]Result
	for i := range results {
		k.Push(r, func(r Result) { results[i] = append(results[i], r) })
	}
	if m := c.messages[0]; m.Account != "a" || m.Device != "d" || m.Kind != session.Text || string(m.Payload) != "x" ||
		m.SentMS != 1000 || m.ExpiresMS != 1500 || m.Priority != session.PriorityHigh || m.Trace != trace || m.From != "" {
		t.Errorf("kept is %+v", m)
	}
	k.Sweep()
	if len(results[0]) != 0 || len(c.unwatched) != 0 {
		t.Fatal("it is a promise before the mailbox has said so")
	}
	id := session.ID{Origin: session.Origin{Node: "n", Epoch: 2}, Number: 7}
	c.watchers[0].Kept(id, 3, session.Pending, "")
	c.watchers[0].Became(id, "d", session.Written)
	c.watchers[1].Kept(session.ID{Number: 8}, 0, session.Overloaded, "full")
	kept := came(session.Queued, session.Queued, session.Queued)
	kept.ID = id
	only(t, &results[0], kept)
	only(t, &results[1], came(session.Overloaded))
	if len(c.unwatched) != 0 {
		t.Error("the mailbox was called back from within")
	}
	k.Sweep()
	k.Sweep()
	if !slices.Equal(c.unwatched, []session.ID{id}) {
		t.Errorf("no longer watched are %v", c.unwatched)
	}
	c.watchers[2].Kept(session.ID{Number: 9}, 0, session.Offline, "no devices")
	only(t, &results[2], came(session.Offline))
}

func TestKeepingAllocatesNothing(t *testing.T) {
	if raced {
		t.Skip("pools forget at random under the race detector")
	}
	c := &chest{atOnce: true, unwatched: make([]session.ID, 0, 1000)}
	k := NewKeeping(c)
	k.Sweep()
	r := &Record{Account: "a", Device: "d", TTLMS: 1000}
	done := func(Result) {}
	if n := testing.AllocsPerRun(200, func() {
		k.Push(r, done)
		k.Sweep()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

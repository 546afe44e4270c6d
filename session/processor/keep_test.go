package processor

import (
	"testing"

	"github.com/roostpush/roost/session"
)

// chest is a mailbox that the test answers for.
type chest struct {
	messages []session.Kept
	watchers []Watcher
	atOnce   bool
}

func (c *chest) Keep(m *session.Kept, w Watcher) {
	if c.atOnce {
		w.Kept(session.ID{Number: 1}, 1, session.Pending, "")
		return
	}
	c.messages, c.watchers = append(c.messages, *m), append(c.watchers, w)
}

func TestKeepingIsQueuedOnceItIsAPromise(t *testing.T) {
	c := new(chest)
	k := NewKeeping(c)
	r := &Record{Account: "a", Device: "d", Kind: session.Text, Payload: []byte("x"), SentMS: 1000, TTLMS: 500, Priority: session.PriorityHigh, Trace: trace}
	var results [4][]Result
	for i := range results {
		k.Push(r, func(r Result) { results[i] = append(results[i], r) })
	}
	if m := c.messages[0]; m.Account != "a" || m.Device != "d" || m.Kind != session.Text || string(m.Payload) != "x" ||
		m.SentMS != 1000 || m.ExpiresMS != 1500 || m.Priority != session.PriorityHigh || m.Trace != trace || m.From != "" || !m.Key.IsZero() {
		t.Errorf("kept is %+v", m)
	}
	if len(results[0]) != 0 {
		t.Fatal("it is a promise before the mailbox has said so")
	}
	id := session.ID{Origin: session.Origin{Node: "n", Epoch: 2}, Number: 7}
	c.watchers[0].Kept(id, 3, session.Pending, "")
	c.watchers[1].Kept(session.ID{Number: 8}, 0, session.Overloaded, "full")
	kept := came(session.Queued, session.Queued, session.Queued)
	kept.ID = id
	only(t, &results[0], kept)
	only(t, &results[1], came(session.Overloaded))
	c.watchers[2].Kept(session.ID{Number: 9}, 0, session.Offline, "no devices")
	only(t, &results[2], came(session.Offline))
	c.watchers[3].Kept(session.ID{Number: 10}, 0, session.Forbidden, "another message has the key")
	if r := results[3]; len(r) != 1 || r[0].Reject == nil || r[0].Reject.Code != CodeIDReused || r[0].Reject.Detail != "another message has the key" {
		t.Errorf("a key of another message: %+v", r)
	}
}

// TestKeepingHasKeys: records with one id and one content have one key, wherever and
// whenever they come, and all others have others.
func TestKeepingHasKeys(t *testing.T) {
	c := new(chest)
	k := NewKeeping(c)
	first := Record{Account: "a", Device: "d", ID: "7", SentMS: 1000, TTLMS: 500, Payload: []byte("x")}
	keyOf := func(change func(*Record)) session.Key {
		r := first
		change(&r)
		k.Push(&r, func(Result) {})
		return c.messages[len(c.messages)-1].Key
	}
	key := keyOf(func(*Record) {})
	if later := keyOf(func(r *Record) { r.SentMS, r.Payload = 9000, []byte("x") }); later != key || key.IsZero() {
		t.Errorf("the same later has %x, not %x", later, key)
	}
	for name, change := range map[string]func(*Record){
		"scope": func(r *Record) { r.IDScope = "s" }, "account": func(r *Record) { r.Account = "b" }, "id": func(r *Record) { r.ID = "8" },
		"a border between account and scope": func(r *Record) { r.Account, r.IDScope = "", "a" },
	} {
		if got := keyOf(change); got.Hash == key.Hash {
			t.Errorf("another %s has the same hash", name)
		}
	}
	for name, change := range map[string]func(*Record){
		"device": func(r *Record) { r.Device = "" }, "payload": func(r *Record) { r.Payload = []byte("y") },
		"ttl": func(r *Record) { r.TTLMS = 501 }, "kind": func(r *Record) { r.Kind = session.Binary },
	} {
		if got := keyOf(change); got.Hash != key.Hash || got.Sum == key.Sum {
			t.Errorf("another %s has the same sum", name)
		}
	}
}

func TestKeepingAllocatesNothing(t *testing.T) {
	if raced {
		t.Skip("pools forget at random under the race detector")
	}
	k := NewKeeping(&chest{atOnce: true})
	r := &Record{Account: "a", Device: "d", TTLMS: 1000, ID: "7", Payload: []byte("x")}
	done := func(Result) {}
	if n := testing.AllocsPerRun(200, func() { k.Push(r, done) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

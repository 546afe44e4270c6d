package gossip

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/roostpush/roost/session"
)

// world is the obviously right model of a roster: it keeps everything it was told and
// works out from scratch what is to be believed.
type world struct {
	alive, buried, leaving map[session.Origin]bool
	epochs                 map[string]uint64
}

func (w *world) believed(node string) (session.Origin, bool) {
	o := session.Origin{Node: node, Epoch: w.epochs[node]}
	return o, node != "self" && w.alive[o] && !w.buried[o]
}

// TestRosterModel: whatever memberlist says, in whatever order, Events make sense and
// end in what is to be believed.
func TestRosterModel(t *testing.T) {
	nodes := []string{"a", "b", "c", "self"}
	rapid.Check(t, func(t *rapid.T) {
		r := newRoster(Member{Node: "self", Epoch: 3, GossipAddr: "127.0.0.1:1"}, 8, &counters{})
		w := world{map[session.Origin]bool{}, map[session.Origin]bool{}, map[session.Origin]bool{}, map[string]uint64{"self": 3}}
		told := map[string]session.Origin{}
		origin := func() session.Origin {
			return session.Origin{Node: rapid.SampledFrom(nodes).Draw(t, "node"), Epoch: rapid.Uint64Range(1, 5).Draw(t, "epoch")}
		}
		t.Repeat(map[string]func(*rapid.T){
			"alive": func(t *rapid.T) {
				o := origin()
				n := asNode(Member{Node: o.Node, Epoch: o.Epoch, State: State(rapid.IntRange(0, 2).Draw(t, "state"))})
				err := r.NotifyAlive(n)
				if (err == nil) != (o.Epoch >= w.epochs[o.Node]) {
					t.Fatalf("%v: %v", o, err)
				}
				if err != nil {
					return
				}
				r.NotifyJoin(n)
				w.epochs[o.Node] = o.Epoch
				w.alive[o] = true
			},
			"gone": func(t *rapid.T) {
				if o := origin(); w.alive[o] {
					r.NotifyLeave(asNode(Member{Node: o.Node, Epoch: o.Epoch}))
					delete(w.alive, o)
					delete(w.buried, o)
				}
			},
			"bury": func(t *rapid.T) {
				o, yes := origin(), rapid.Bool().Draw(t, "buried")
				r.bury(o, yes)
				if w.alive[o] {
					w.buried[o] = yes
				}
			},
			"goodbye": func(t *rapid.T) { r.goodbye(origin()) },
			"heard": func(t *rapid.T) {
				o := origin()
				other := newRoster(Member{Node: o.Node, Epoch: o.Epoch}, 8, &counters{})
				r.MergeRemoteState(other.LocalState(false), false)
				w.epochs[o.Node] = max(w.epochs[o.Node], o.Epoch)
			},
			"": func(t *rapid.T) {
				if rapid.IntRange(0, 2).Draw(t, "later") > 0 {
					return // Events are slow
				}
				for _, c := range r.take() {
					o, here := told[c.member.Node]
					switch c.kind {
					case joined:
						if here {
							t.Fatalf("%v joined while %v is here", c.member.Origin(), o)
						}
						told[c.member.Node] = c.member.Origin()
					case changed:
						if o != c.member.Origin() {
							t.Fatalf("%v changed, here is %v", c.member.Origin(), o)
						}
					case left:
						if o != c.member.Origin() {
							t.Fatalf("%v left, here is %v", c.member.Origin(), o)
						}
						delete(told, c.member.Node)
					}
				}
				for _, node := range nodes {
					want, is := w.believed(node)
					if got, here := told[node]; here != is || is && got != want {
						t.Fatalf("%s: told %v %v, want %v %v", node, got, here, want, is)
					}
				}
				delete(w.alive, r.self)
				if len(r.entries) != len(w.alive) {
					t.Fatalf("entries of the gone are kept: %d for %d", len(r.entries), len(w.alive))
				}
				if len(r.members()) != 1+len(told) || r.size() != 1+len(told) {
					t.Fatal("members are not what was told")
				}
			},
		})
	})
}

func TestReasons(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(r *roster)
		want Reason
	}{
		{"dead", func(r *roster) { r.NotifyLeave(asNode(Member{Node: "a", Epoch: 1})) }, Dead},
		{"buried", func(r *roster) { r.bury(session.Origin{Node: "a", Epoch: 1}, true) }, Dead},
		{"said goodbye", func(r *roster) {
			r.goodbye(session.Origin{Node: "a", Epoch: 1})
			r.NotifyLeave(asNode(Member{Node: "a", Epoch: 1}))
		}, Left},
		{"was leaving", func(r *roster) { r.NotifyLeave(asNode(Member{Node: "a", Epoch: 1, State: Leaving})) }, Left},
		{"replaced", func(r *roster) {
			n := asNode(Member{Node: "a", Epoch: 2})
			_ = r.NotifyAlive(n)
			r.NotifyJoin(n)
		}, Replaced},
		{"replaced by one we cannot see", func(r *roster) { r.raise("a", 2) }, Replaced},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRoster(Member{Node: "self", Epoch: 1}, 8, &counters{})
			n := asNode(Member{Node: "a", Epoch: 1})
			_ = r.NotifyAlive(n)
			r.NotifyJoin(n)
			r.take()
			c.do(r)
			changes := r.take()
			if len(changes) == 0 || changes[0].kind != left || changes[0].why != c.want {
				t.Errorf("%+v", changes)
			}
		})
	}
}

func (r *roster) raise(node string, epoch uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.raiseLocked(node, epoch, "")
}

// TestMembersMax: newcomers are refused when all places are taken by the living, and
// take the place of the absent otherwise.
func TestMembersMax(t *testing.T) {
	r := newRoster(Member{Node: "self", Epoch: 1}, 4, &counters{})
	join := func(id string) error {
		n := asNode(Member{Node: id, Epoch: 1})
		err := r.NotifyAlive(n)
		if err == nil {
			r.NotifyJoin(n)
		}
		r.take()
		return err
	}
	leave := func(id string) {
		r.NotifyLeave(asNode(Member{Node: id, Epoch: 1}))
		r.take()
	}
	for _, id := range []string{"a", "b", "c"} {
		if err := join(id); err != nil {
			t.Fatal(err)
		}
	}
	if err := join("d"); err != errFull || r.count.refused[RefusedFull].Load() != 1 {
		t.Error(err)
	}
	start := time.Now()
	r.now = func() time.Time { return start }
	leave("b")
	r.now = func() time.Time { return start.Add(time.Second) }
	leave("a")
	if err := join("d"); err != nil {
		t.Error(err)
	}
	if _, known := r.epochs["b"]; known || r.epochs["a"] != 1 {
		t.Errorf("the one that died first was to go: %v", r.epochs)
	}
}

func TestSide(t *testing.T) {
	r := newRoster(Member{Node: "self", Epoch: 1}, 64, &counters{})
	now := time.Now()
	r.now = func() time.Time { return now }
	for i := range 6 {
		n := asNode(Member{Node: fmt.Sprint("n", i), Epoch: 1})
		_ = r.NotifyAlive(n)
		r.NotifyJoin(n)
	}
	r.take()
	die := func(i int) {
		r.NotifyLeave(asNode(Member{Node: fmt.Sprint("n", i), Epoch: 1}))
		r.take()
	}
	want := func(alive, expected int, minority bool) {
		t.Helper()
		s := r.side(time.Minute)
		if s != (Side{alive, expected}) || s.Minority() != minority {
			t.Errorf("%+v, minority %v", s, s.Minority())
		}
	}
	want(7, 7, false)
	for i := range 3 {
		die(i)
	}
	want(4, 7, false)
	die(3)
	want(3, 7, true)
	n := asNode(Member{Node: "n0", Epoch: 2}) // back as another process
	_ = r.NotifyAlive(n)
	r.NotifyJoin(n)
	r.take()
	want(4, 7, false)
	now = now.Add(2 * time.Minute)
	die(4)
	want(3, 4, false) // the others are not waited for any more
}

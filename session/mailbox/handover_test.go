package mailbox

import (
	"errors"
	"fmt"
	"testing"

	"github.com/roostpush/roost/session"
)

// leaving is a town in which a keeps so many messages for the phone, and b is the home now.
func leaving(t *testing.T, messages int) (w *town, a, b *townNode, ids []session.ID) {
	w = newTown(t, homesTest, "c", "b", "a") // a is the home
	for i := range messages {
		e := w.push("a", Push{Device: "phone", Payload: []byte{'0' + byte(i)}})
		ids = append(ids, e.id)
	}
	w.work()
	w.home = "b"
	a, b = w.nodes["a"], w.nodes["b"]
	return w, a, b, ids
}

// handOver lets time pass until nothing is left at a node, or for so many ticks.
func (w *town) handOver(n *townNode, ticks int) (left int) {
	n.homes.Leave()
	for range ticks {
		w.now += 500
		n.homes.Tick(w.now)
		w.work()
	}
	messages, acks, keys := n.homes.Left()
	return messages + acks + keys
}

// stored is what a node has on its disk, by the text of the ids.
func (n *townNode) stored() (list []string) {
	for _, k := range n.store.mail {
		list = append(list, k.ID.Text())
	}
	return list
}

func wantStored(t *testing.T, n *townNode, ids ...session.ID) {
	t.Helper()
	var want []string
	for _, id := range ids {
		want = append(want, id.Text())
	}
	if got := n.stored(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s has %v on its disk, want %v", n.name, got, want)
	}
}

// TestHandOver has a node leave that keeps more than may be on the way at one time. The new home has
// them under their ids, the device gets them in order, and its acks find who keeps them.
func TestHandOver(t *testing.T) {
	w, a, b, ids := leaving(t, 9)
	if left := w.handOver(a, 20); left != 0 {
		t.Fatalf("%d are left: %+v", left, a.homes.Stats())
	}
	wantStored(t, a)
	wantStored(t, b, ids...)
	if s := a.homes.Stats(); s.Moved != 9 || s.MovesSent != 9 || b.homes.Stats().MovesTaken != 9 {
		t.Errorf("%+v", s)
	}
	c := w.nodes["c"]
	for _, n := range w.nodes {
		if list, found, err := n.homes.Fates(ids[0]); err != nil || !found || len(list) != 1 || list[0].Outcome != session.Queued {
			t.Errorf("%s says %v %v %v", n.name, list, found, err)
		}
	}
	c.here = true
	b.homes.LookAgain()
	w.work()
	for i, id := range ids {
		if want := fmt.Sprintf("%d %s", i, id.Text()); i >= len(c.got) || c.got[i] != want {
			t.Fatalf("the phone got %q", c.got)
		}
	}
	delete(w.nodes, "a")         // its process has ended
	for _, id := range ids[7:] { // as many as are remembered
		if !c.homes.Acked(phone, id) {
			t.Errorf("the ack of %s is for nobody", id.Text())
		}
	}
	w.work()
	wantStored(t, b, ids[:7]...)
	if list, found, _ := c.homes.Fates(ids[8]); !found || list[0].Outcome != session.Acked {
		t.Errorf("%v", list)
	}
	if c.homes.Acked(phone, ids[0]) {
		t.Error("an ack is taken of which nobody knows where it belongs")
	}
}

// TestHandOverEndsMeanwhile has a message end at the old keeper while it is on its way: the new
// one hears it, in whatever order, and also if the answer is lost with the link.
func TestHandOverEndsMeanwhile(t *testing.T) {
	for _, how := range []string{"acked", "cancelled", "link lost", "acked there"} {
		t.Run(how, func(t *testing.T) {
			w, a, b, ids := leaving(t, 1)
			a.homes.Leave()
			b.store.immediate = false
			w.now += 500
			a.homes.Tick(w.now)
			w.work() // the message is with b, and not synced there
			wantStored(t, a, ids...)
			switch how {
			case "acked":
				if !a.homes.Acked(phone, ids[0]) {
					t.Error("an ack of a message on its way is refused")
				}
			case "cancelled":
				if list, found, err := a.homes.Cancel(ids[0]); err != nil || !found || list[0].Outcome != session.Cancelled {
					t.Errorf("%v %v %v", list, found, err)
				}
			case "link lost":
				w.down["b"] = true
				a.homes.Unlinked("b")
				a.homes.Acked(phone, ids[0])
			case "acked there":
				w.down["a"] = true // so that it does not hear of it
				b.homes.Acked(phone, ids[0])
				w.down["a"] = false
			}
			w.work()
			b.store.immediate = true
			b.store.sync()
			w.work()
			if how == "link lost" {
				wantStored(t, b, ids...)
				if messages, acks, _ := a.homes.Left(); messages != 0 || acks != 1 {
					t.Errorf("%d messages and %d acks are left", messages, acks)
				}
				w.down["b"] = false
				a.homes.Linked("b")
				w.work()
			}
			wantStored(t, a)
			wantStored(t, b)
			want := session.Acked
			if how == "cancelled" {
				want = session.Cancelled
			}
			if list, _, _ := b.homes.FatesHere(ids[0]); len(list) != 1 || list[0].Outcome != want {
				t.Errorf("at its new home it is %v, want %v", list, want)
			}
			if messages, acks, _ := a.homes.Left(); messages+acks != 0 {
				t.Errorf("%d messages and %d acks are left", messages, acks)
			}
		})
	}
}

// TestHandOverComesTwice sends a message again because the answer was lost. Whether it waits at
// its new home or is acknowledged by then: it is not brought back.
func TestHandOverComesTwice(t *testing.T) {
	for _, acked := range []bool{false, true} {
		w, a, b, ids := leaving(t, 1)
		a.homes.Leave()
		w.now += 500
		a.homes.Tick(w.now)
		for len(w.queue) == 0 {
			w.jobs(a)
		}
		w.queue[0]() // b takes it
		w.queue = nil
		w.jobs(b)
		w.queue = nil // and its answer is lost
		a.homes.Unlinked("b")
		wantStored(t, a, ids...)
		wantStored(t, b, ids...)
		w.down["a"] = true // so that it does not hear of the ack
		if acked && !b.homes.Acked(phone, ids[0]) {
			t.Error("the ack is refused")
		}
		w.down["a"] = false
		if left := w.handOver(a, 20); left != 0 {
			t.Errorf("%d are left", left)
		}
		wantStored(t, a)
		if want := ids; !acked {
			wantStored(t, b, want...)
		} else {
			wantStored(t, b)
			if list, _, _ := a.homes.FatesHere(ids[0]); list[0].Outcome != session.Acked {
				t.Errorf("the old keeper says %v", list)
			}
		}
	}
}

// jobs does what waits for a node's goroutines.
func (w *town) jobs(n *townNode) {
	var k worker
	for j := n.box.queue.pop(false); j != nil; j = n.box.queue.pop(false) {
		j.work(&k)
	}
}

// TestHandOverIsRefused for whatever reason: the message stays, that is said, and it goes once
// the reason has gone.
func TestHandOverIsRefused(t *testing.T) {
	for name, with := range map[string]func(w *town, b *townNode, on bool){
		"no link": func(w *town, b *townNode, on bool) { w.down["b"] = on },
		"no home": func(w *town, b *townNode, on bool) {
			if w.home = "b"; on {
				w.home = "a"
			}
		},
		"full disk": func(w *town, b *townNode, on bool) {
			if b.store.refuse = nil; on {
				b.store.refuse = errors.New("full")
			}
		},
		"unread": func(w *town, b *townNode, on bool) {
			if b.store.unread = nil; on {
				b.store.unread = errors.New("torn")
			}
		},
		"no room": func(w *town, b *townNode, on bool) {
			if b.homes.cfg.MoveMax = 4; on {
				b.homes.cfg.MoveMax = 0
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, a, b, ids := leaving(t, 3)
			with(w, b, true)
			if left := w.handOver(a, 5); left != 3 {
				t.Errorf("%d are left", left)
			}
			wantStored(t, a, ids...)
			wantStored(t, b)
			with(w, b, false)
			if left := w.handOver(a, 20); left != 0 {
				t.Errorf("%d are left: %+v", left, a.homes.Stats())
			}
			wantStored(t, a)
			wantStored(t, b, ids...)
		})
	}
}

// TestHandOverOfFirst takes a message from the account's other device that one has acknowledged
// before it was handed over, and from one whose copy is on its way.
func TestHandOverOfFirst(t *testing.T) {
	w := newTown(t, homesTest, "b", "a")
	e := w.push("a", Push{Payload: []byte("x"), First: true})
	w.work()
	a, b := w.nodes["a"], w.nodes["b"]
	w.home = "b"
	a.homes.Leave()
	w.now += 500
	a.homes.Tick(w.now)
	w.jobs(a) // both copies are on their way
	a.homes.Acked(phone, e.id)
	w.work()
	wantStored(t, a)
	wantStored(t, b)
	list, found, err := b.homes.Fates(e.id)
	if err != nil || !found || len(list) != 2 || list[0].Outcome != session.Acked || list[1].Outcome != session.Cancelled {
		t.Errorf("%v %v %v", list, found, err)
	}
}

// TestWatchesEnd holds that neither end watches a message for ever: nobody listens any more,
// the link ends, or the last word is lost.
func TestWatchesEnd(t *testing.T) {
	for _, how := range []string{"unwatch", "link", "last word lost"} {
		t.Run(how, func(t *testing.T) {
			w := newTown(t, homesTest, "a", "h")
			e := w.push("a", Push{Device: "tv", Payload: []byte("x")})
			w.work()
			a, h := w.nodes["a"], w.nodes["h"]
			if a.homes.Stats().Watched != 1 || h.box.Stats().Watched != 1 {
				t.Fatal("nobody watches")
			}
			switch how {
			case "unwatch":
				a.homes.Unwatch(e.id, e)
				w.work()
			case "link":
				a.homes.Unlinked("h")
				h.homes.Unlinked("a")
			case "last word lost":
				w.full = true
				h.homes.Acked(session.Address{Account: "alice", Device: "tv"}, e.id)
				w.now += 59_000
				a.homes.Tick(w.now)
				if a.homes.Stats().Watched != 1 {
					t.Error("it is given up before its time is over")
				}
				w.now += 10_000
				a.homes.Tick(w.now)
			}
			if n := h.box.Stats().Watched; n != 0 {
				t.Errorf("%d are watched at the home", n)
			}
			if s := a.homes.Stats(); s.Watched != 0 || (s.WatchesEnded == 1) != (how != "unwatch") {
				t.Errorf("%d are watched, the end of %d is counted", s.Watched, s.WatchesEnded)
			}
			if n := h.homes.Stats().Unwatched; (n == 1) != (how != "last word lost") {
				t.Errorf("the home has counted %d", n)
			}
		})
	}
}

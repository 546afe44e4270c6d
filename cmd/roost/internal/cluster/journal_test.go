package cluster

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/gossip"
	"github.com/roostpush/roost/session/wire"
)

func TestKeepingAllocatesNothing(t *testing.T) {
	b := newBench(t, t.TempDir())
	b.linked("n2", true)
	var ref uint64
	b.keeper.send = func(_ string, _ wire.LinkType, body []byte) bool {
		ref++
		return true
	}
	f := session.Fact{Address: session.Address{Account: "a", Device: "d"}, Origin: session.Origin{Node: "n1", Epoch: 1}, Number: 1, Version: 5, Detailed: true, UserAgent: "ua"}
	if n := testing.AllocsPerRun(200, func() {
		for range 5 {
			b.keep("n2", &f)
		}
		b.step(time.Millisecond)
		b.kept("n2", &wire.Kept{Ref: ref})
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
	if n := b.count.acknowledged.Load(); n != 1005 {
		t.Errorf("%d acknowledged", n)
	}
}

// BenchmarkJournal is what an event loop pays for one opening whose home is another node,
// and the rest of the work here: collecting, sending to a link that is a no-op, taking the
// answer.
func BenchmarkJournal(b *testing.B) {
	x := newBench(b, b.TempDir())
	var refs []uint64
	x.keeper.send = func(_ string, _ wire.LinkType, body []byte) bool {
		refs = append(refs, binary.BigEndian.Uint64(body[1:]))
		return true
	}
	x.keeper.cfg.QueueBytes, x.keeper.cfg.BatchBytes = 4<<20, 64<<10
	x.homes.update(gossip.Member{Node: "n2", Epoch: 1}, 1)
	x.homes.update(gossip.Member{Node: "n3", Epoch: 1}, 1)
	x.linked("n2", true)
	j := Journal{Own: x.store, Others: &Cluster{self: session.Origin{Node: "n1", Epoch: 1}, homes: x.homes, keeper: x.keeper}}
	account := ""
	for i := 0; x.homes.of(account) != "n2"; i++ {
		account = fmt.Sprint("account-", i)
	}
	s := session.New(account, "device-of-usual-length")
	s.Number, s.Version, s.OpenedMS = 1<<40, 1<<40, 1<<40
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if j.Opened(s, "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36", "192.0.2.17:50000", nil); n%500 == 499 {
			x.step(time.Millisecond)
			for _, ref := range refs {
				x.keeper.kept("n2", &wire.Kept{Ref: ref})
			}
			refs = refs[:0]
		}
	}
	if n := x.count.stoodIn[standFull].Load(); n > 0 {
		b.Fatalf("stood in %d times", n)
	}
}

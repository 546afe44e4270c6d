package replica

import (
	"errors"
	"testing"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
	"pgregory.net/rapid"
)

// TestGarbage gives a node messages that make no sense together. It may believe them of
// their author, but it neither panics nor refuses anything as a different error, it keeps
// within its limits, and its own sessions stay open and are found.
func TestGarbage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newCluster(3, smallLimits)
		n, phone := c.nodes[0], named("alice", "phone")
		d := n.connect(phone)
		address, _ := hashes(phone)
		for range rapid.IntRange(1, 80).Draw(t, "messages") {
			from := rapid.SampledFrom([]string{"n1", "n2", "n9"}).Draw(t, "from")
			if err := n.Receive(from, drawMessage(t), n.now()); err != nil && !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			c.nowMS += int64(rapid.IntRange(0, 3000).Draw(t, "ms"))
			n.Tick(n.now())
		}
		s := n.Stats()
		if s.Contests > n.cfg.ContestsMax || s.Transfers > n.cfg.TransfersMax || s.Authors > 2 {
			t.Fatalf("limits: %+v", s)
		}
		for _, a := range n.authors {
			if len(a.early.changes) > n.cfg.EarlyChanges {
				t.Fatalf("%d changes wait for their turn", len(a.early.changes))
			}
		}
		if v, closed, ok := n.table.Get(n.Self(), address); n.open[address] != d || !ok || closed || v != d.version {
			if s.Displaced == 0 {
				t.Fatal("an own session is gone")
			}
		}
	})
}

func drawMessage(t *rapid.T) any {
	origin := func() session.Origin {
		return session.Origin{Node: rapid.SampledFrom([]string{"n0", "n1", "n2", "n9"}).Draw(t, "node"), Epoch: rapid.Uint64Range(0, 2).Draw(t, "epoch")}
	}
	number := rapid.OneOf(rapid.Uint64Range(0, 6), rapid.Uint64()).Draw(t, "number")
	addresses := []uint64{hash("alice/phone"), 1, 2, 3}
	var changes []wire.Change
	for range rapid.IntRange(0, 4).Draw(t, "changes") {
		changes = append(changes, wire.Change{
			Address: rapid.SampledFrom(addresses).Draw(t, "address"), Account: hash("alice"),
			Version: rapid.OneOf(rapid.Uint64Range(0, 9), rapid.Uint64Range(999_990, 1_200_000), rapid.Uint64()).Draw(t, "version"),
			Closed:  rapid.Bool().Draw(t, "closed"),
		})
	}
	address := rapid.SampledFrom(addresses).Draw(t, "asked")
	switch rapid.IntRange(0, 5).Draw(t, "type") {
	case 0:
		return &wire.Delta{Author: origin(), First: number, Changes: changes}
	case 1:
		return &wire.Heads{Answer: rapid.Bool().Draw(t, "answer"), Heads: []wire.Head{{Author: origin(), Seq: number}, {Author: origin(), Seq: number / 2}}}
	case 2:
		return &wire.LogRequest{Author: origin(), From: number}
	case 3:
		for i := range changes {
			changes[i].Closed = false
		}
		return &wire.SnapshotChunk{Author: origin(), Seq: number, Index: uint32(rapid.IntRange(0, 2).Draw(t, "index")), Last: rapid.Bool().Draw(t, "last"), Changes: changes}
	case 4:
		return &wire.Question{Address: address, Account: hash("alice"), Version: number, Name: named("alice", "phone")}
	default:
		return &wire.Answer{Address: address, Version: number, Holding: wire.Holding(rapid.IntRange(0, 3).Draw(t, "holding"))}
	}
}

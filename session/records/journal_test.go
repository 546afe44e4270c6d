package records

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// ownDisk is this node's store where it is the home itself.
type ownDisk struct{ said []string }

func (d *ownDisk) Opened(s *session.Session, userAgent, remote string, attrs []byte) {
	d.said = append(d.said, fmt.Sprintf("opened %s %s %s %s", s.Device, userAgent, remote, attrs))
}

func (d *ownDisk) Closed(s *session.Session, closedMS int64, code uint16) {
	d.said = append(d.said, fmt.Sprintf("closed %s %d %d", s.Device, closedMS, code))
}

func (d *ownDisk) Trim(f *session.Fact) { f.UserAgent = f.UserAgent[:min(len(f.UserAgent), 8)] }

// homeOf is n1 for the account own and n2 for all others.
func homeOf(account string) string {
	if account == "own" {
		return "n1"
	}
	return "n2"
}

// TestJournalGoesHome: to this node's store what it keeps itself, to a home elsewhere what
// no store would cut.
func TestJournalGoesHome(t *testing.T) {
	b, own := newBench(t), new(ownDisk)
	b.ports.Home = homeOf
	b.Linked("n2", true)
	j := Journal{Own: own, Keeper: b.Keeper}
	for _, account := range []string{"own", "other"} {
		s := session.New(account, "phone")
		s.Number, s.Version, s.OpenedMS = 7, 9, 8
		j.Opened(s, "agent/1.0 long", "192.0.2.1:5", []byte(`{"a":1}`))
		j.Closed(s, 12, 1000)
	}
	b.step(time.Millisecond)
	if want := []string{`opened phone agent/1.0 long 192.0.2.1:5 {"a":1}`, "closed phone 12 1000"}; !slices.Equal(own.said, want) {
		t.Errorf("this node's store heard %q", own.said)
	}
	if len(b.frames) != 1 || len(b.frames[0].Facts) != 2 {
		t.Fatalf("sent: %+v", b.frames)
	}
	opened, closed := b.frames[0].Facts[0], b.frames[0].Facts[1]
	if string(opened.Attrs) != `{"a":1}` {
		t.Errorf("attrs are %s", opened.Attrs)
	}
	opened.Attrs = nil
	whose := session.Fact{Address: session.Address{Account: "other", Device: "phone"}, Origin: session.Origin{Node: "n1", Epoch: 1}, Number: 7, Version: 9, OpenedMS: 8}
	want := whose
	want.Detailed, want.UserAgent, want.Remote = true, "agent/1.", "192.0.2.1:5"
	if fmt.Sprintf("%+v", opened) != fmt.Sprintf("%+v", want) {
		t.Errorf("opened: %+v\nwant    %+v", opened, want)
	}
	want = whose
	want.Closed, want.ClosedMS, want.CloseCode = true, 12, 1000
	if closed.Attrs = nil; fmt.Sprintf("%+v", closed) != fmt.Sprintf("%+v", want) {
		t.Errorf("closed: %+v\nwant    %+v", closed, want)
	}
}

func TestKeepingAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool drops what it is given at random under the race detector")
	}
	b := newBench(t)
	var ref uint64
	b.ports.Home = homeOf
	b.ports.Send = func(string, wire.LinkType, []byte) bool { ref++; return true }
	b.Linked("n2", true)
	j := Journal{Own: new(ownDisk), Keeper: b.Keeper}
	s := session.New("other", "phone")
	if n := testing.AllocsPerRun(200, func() {
		for range 3 {
			j.Opened(s, "ua", "r:1", nil)
			j.Closed(s, 1, 1000)
		}
		b.step(time.Millisecond)
		b.Kept("n2", &wire.Kept{Ref: ref})
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
	if n := b.count.acknowledged.Load(); n != 6*201 {
		t.Errorf("%d acknowledged", n)
	}
}

// BenchmarkJournal is what an event loop pays for one opening whose home is another node,
// and the rest of the work here: collecting, sending to a link that is a no-op, taking the
// answer.
func BenchmarkJournal(b *testing.B) {
	x := newBench(b)
	var refs []uint64
	x.ports.Home = homeOf
	x.ports.Send = func(_ string, _ wire.LinkType, body []byte) bool {
		refs = append(refs, binary.BigEndian.Uint64(body[1:]))
		return true
	}
	x.cfg.QueueBytes, x.cfg.BatchBytes = 4<<20, 64<<10
	x.Linked("n2", true)
	j := Journal{Own: new(ownDisk), Keeper: x.Keeper}
	s := session.New("account-1", "device-of-usual-length")
	s.Number, s.Version, s.OpenedMS = 1<<40, 1<<40, 1<<40
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if j.Opened(s, "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36", "192.0.2.17:50000", nil); n%500 == 499 {
			x.step(time.Millisecond)
			for _, ref := range refs {
				x.Kept("n2", &wire.Kept{Ref: ref})
			}
			refs = refs[:0]
		}
	}
	if n := x.count.stoodIn[standFull].Load(); n > 0 {
		b.Fatalf("stood in %d times", n)
	}
}

package records

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

func TestMain(m *testing.M) {
	code := m.Run()
	// goleak looks for half a second. memberlist does not wait for its probes when it is shut
	// down, and they take up to a second.
	err := goleak.Find()
	for end := time.Now().Add(time.Minute); err != nil && time.Now().Before(end); {
		err = goleak.Find()
	}
	if code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// disk is this node's store: the devices of the facts that it took.
type disk struct {
	devices map[string]bool
	full    bool // takes nothing more
}

func (d *disk) Keep(f *session.Fact) bool {
	if !d.full {
		d.devices[strings.Clone(f.Device)] = true // it is borrowed
	}
	return !d.full
}

// bench is a keeper of node n1 whose link to n2 is a slice, and its store.
type bench struct {
	*Keeper
	t      testing.TB
	disk   *disk
	frames []wire.Keep // that were sent, oldest first
	room   bool        // the link takes frames
	dues   int
	nowMS  int64
}

var testConfig = Config{QueueBytes: 4 << 10, BatchBytes: 1 << 10, AckTimeout: time.Second}

func newBench(t testing.TB) *bench {
	b := &bench{t: t, disk: &disk{devices: map[string]bool{}}, room: true, nowMS: 1_000_000}
	b.Keeper = New(testConfig, Ports{
		Self: session.Origin{Node: "n1", Epoch: 1},
		Home: func(string) string { return "n1" },
		Due:  func() { b.dues++ },
		Send: func(node string, typ wire.LinkType, body []byte) bool {
			if !b.room {
				return false
			}
			var k wire.Keep
			if err := wire.ParseKeep(slices.Clone(body), &k); err != nil || node != "n2" || typ != wire.LinkTypeKeep {
				t.Fatalf("sent to %s: %v, %v", node, typ, err)
			}
			b.frames = append(b.frames, k)
			return true
		},
	})
	b.Attach(b.disk)
	return b
}

func (b *bench) fact(device string) {
	b.Keep("n2", &session.Fact{Address: session.Address{Account: "a", Device: device}, Origin: session.Origin{Node: "n1", Epoch: 1},
		Number: 1, Version: 5, OpenedMS: 5, Detailed: true, UserAgent: "ua", Remote: "r:1"})
}

// here returns the devices in this node's store.
func (b *bench) here() []string { return slices.Sorted(maps.Keys(b.disk.devices)) }

// step is a tick, some time after the last.
func (b *bench) step(d time.Duration) {
	b.nowMS += d.Milliseconds()
	b.Tick(false, b.nowMS)
}

func (b *bench) expect(reason standing, here ...string) {
	b.t.Helper()
	if got := b.here(); !slices.Equal(got, here) {
		b.t.Errorf("this node has %v, want %v", got, here)
	}
	if n := b.count.stoodIn[reason].Load(); n != uint64(len(here)) {
		b.t.Errorf("stood in %d times for reason %d", n, reason)
	}
	if (b.dues > 0) != (len(here) > 0) {
		b.t.Errorf("due %d times", b.dues)
	}
	if n := b.Queued(); n != 0 {
		b.t.Errorf("%d bytes wait for ever", n)
	}
}

func TestFactsGoToTheHome(t *testing.T) {
	b := newBench(t)
	b.Linked("n2", true)
	for _, d := range []string{"x", "y"} {
		b.fact(d)
	}
	b.step(time.Millisecond)
	if len(b.frames) != 1 || len(b.frames[0].Facts) != 2 || b.frames[0].Facts[1].UserAgent != "ua" || b.Queued() == 0 {
		t.Fatalf("%+v", b.frames)
	}
	b.fact("z") // while the first batch waits for its answer
	b.step(time.Millisecond)
	if len(b.frames) != 2 || b.frames[1].Ref == b.frames[0].Ref || b.frames[1].Facts[0].Device != "z" {
		t.Fatalf("%+v", b.frames)
	}
	b.step(time.Millisecond) // nothing is sent twice
	b.Kept("n2", &wire.Kept{Ref: b.frames[1].Ref})
	b.Kept("n2", &wire.Kept{Ref: b.frames[0].Ref})
	b.Kept("n2", &wire.Kept{Ref: b.frames[0].Ref})
	b.Kept("n7", &wire.Kept{Ref: 1})
	b.step(time.Hour)
	b.expect(standUnlinked)
	if n := b.count.acknowledged.Load(); n != 3 || len(b.frames) != 2 || b.count.lateAnswers.Load() != 1 {
		t.Errorf("%d acknowledged, %d frames", n, len(b.frames))
	}
}

func TestOwnStoreStandsIn(t *testing.T) {
	t.Run("unknown node", func(t *testing.T) {
		b := newBench(t)
		b.fact("x")
		b.expect(standUnlinked, "x")
	})
	t.Run("link lost", func(t *testing.T) {
		b := newBench(t)
		b.Linked("n2", true)
		b.fact("sent")
		b.step(time.Millisecond)
		b.fact("waits")
		b.Linked("n2", false)
		b.fact("after")
		b.step(time.Hour)
		b.expect(standUnlinked, "after", "sent", "waits")
	})
	t.Run("refused", func(t *testing.T) {
		b := newBench(t)
		b.Linked("n2", true)
		b.fact("x")
		b.step(time.Millisecond)
		b.Kept("n2", &wire.Kept{Ref: b.frames[0].Ref, Refused: true})
		b.expect(standRefused, "x")
	})
	t.Run("no answer in time", func(t *testing.T) {
		b := newBench(t)
		b.Linked("n2", true)
		b.fact("x")
		b.step(time.Millisecond)
		b.step(time.Second)
		if b.Queued() == 0 {
			t.Error("given up before its time")
		}
		b.step(2 * time.Millisecond)
		b.Kept("n2", &wire.Kept{Ref: b.frames[0].Ref})
		b.expect(standLate, "x")
	})
	t.Run("no room on the link", func(t *testing.T) {
		b := newBench(t)
		b.Linked("n2", true)
		b.room = false
		b.fact("x")
		b.step(time.Millisecond)
		b.room = true
		b.step(time.Millisecond)
		if len(b.frames) != 1 {
			t.Fatal("not sent when there was room")
		}
		b.Kept("n2", &wire.Kept{Ref: b.frames[0].Ref})
		b.room = false
		b.fact("y")
		b.step(time.Millisecond)
		b.step(1001 * time.Millisecond)
		b.expect(standLate, "y")
	})
	t.Run("queue full", func(t *testing.T) {
		b := newBench(t)
		b.Linked("n2", true)
		for i := range 200 {
			b.fact(fmt.Sprintf("d%03d", i))
		}
		full := int(b.count.stoodIn[standFull].Load())
		if queued := b.Queued(); full == 0 || full == 200 || queued > 4<<10 {
			t.Fatalf("%d stood in, %d bytes queued", full, queued)
		}
		b.step(time.Millisecond)
		for _, f := range b.frames {
			b.Kept("n2", &wire.Kept{Ref: f.Ref})
		}
		if n := int(b.count.acknowledged.Load()); n+full != 200 || len(b.here()) != full {
			t.Errorf("%d at home, %d here", n, len(b.here()))
		}
	})
}

// TestHoldingIsTold once, and anew on every link.
func TestHoldingIsTold(t *testing.T) {
	b := newBench(t)
	b.Linked("n2", true)
	say := func(holding bool) { b.nowMS++; b.Tick(holding, b.nowMS) }
	say(false)
	say(true)
	say(true)
	b.Linked("n2", false)
	b.Linked("n2", true)
	say(true)
	b.room = false
	say(false)
	b.room = true
	say(false)
	b.fact("x")
	say(true) // with the facts
	var got []bool
	for _, f := range b.frames {
		got = append(got, f.Holding)
	}
	if want := []bool{true, true, false, true}; !slices.Equal(got, want) {
		t.Errorf("told %v, want %v", got, want)
	}
	if !b.IsHolding("n7") || b.IsHolding("n2") {
		t.Error("who has not said so may hold anything")
	}
	if kept, _ := b.Take("n2", &wire.Keep{KeepState: wire.KeepState{Holding: true}}); !kept || !b.IsHolding("n2") {
		t.Error("n2 has said that it holds")
	}
}

// TestHeldFactsStayWhenTheyAreNotKept: they are on the disk already.
func TestHeldFactsStayWhenTheyAreNotKept(t *testing.T) {
	b := newBench(t)
	list := make([]session.Fact, 20)
	for i := range list {
		list[i] = session.Fact{Address: session.Address{Account: "a", Device: fmt.Sprintf("d%02d", i)}, Origin: session.Origin{Node: "n1", Epoch: 1}, Detailed: true, UserAgent: "ua"}
	}
	ends := map[bool]int{}
	offered := 0
	offer := func() int {
		rest := list[offered:]
		return b.Offer("n2", len(rest), func(i int) *session.Fact { return &rest[i] }, func(n int, kept bool) { ends[kept] += n })
	}
	if n := offer(); n != 0 {
		t.Fatalf("%d offered without a link", n)
	}
	b.Linked("n2", true)
	for offered < len(list) {
		n := offer()
		if n == 0 {
			break
		}
		offered += n
	}
	b.step(time.Millisecond)
	for i, f := range b.frames[0].Facts {
		if f.Device != list[i].Device {
			t.Errorf("fact %d is of %s", i, f.Device)
		}
	}
	b.Kept("n2", &wire.Kept{Ref: b.frames[0].Ref})
	b.Linked("n2", false)
	if offered == 0 || ends[true] != len(b.frames[0].Facts) || ends[true]+ends[false] != offered {
		t.Errorf("%d offered, %v ended", offered, ends)
	}
	if n := b.count.stoodIn[standUnlinked].Load(); n != 0 || len(b.here()) != 0 {
		t.Errorf("stood in %d times: held facts were noted again", n)
	}
}

// TestNoFactIsLost plays random links: at the end every fact is at the home or here.
func TestNoFactIsLost(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := newBench(t)
		home := map[string]bool{}
		next, answered := 0, 0
		answer := func(refuse bool) {
			if answered == len(b.frames) {
				return
			}
			f := b.frames[answered]
			answered++
			for _, fact := range f.Facts {
				home[fact.Device] = home[fact.Device] || !refuse
			}
			if f.Ref != 0 {
				b.Kept("n2", &wire.Kept{Ref: f.Ref, Refused: refuse})
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"fact":    func(*rapid.T) { b.fact(fmt.Sprintf("d%04d", next)); next++ },
			"tick":    func(*rapid.T) { b.step(25 * time.Millisecond) },
			"wait":    func(*rapid.T) { b.step(700 * time.Millisecond) },
			"kept":    func(*rapid.T) { answer(false) },
			"refused": func(*rapid.T) { answer(true) },
			"lost":    func(*rapid.T) { answered = min(answered+1, len(b.frames)) },
			"up":      func(*rapid.T) { b.Linked("n2", true) },
			"down":    func(*rapid.T) { b.Linked("n2", false) },
			"room":    func(*rapid.T) { b.room = !b.room },
		})
		b.Linked("n2", false)
		for _, d := range b.here() {
			home[d] = true
		}
		for i := range next {
			if d := fmt.Sprintf("d%04d", i); !home[d] {
				rt.Fatalf("%s is lost; known are %v", d, slices.Sorted(maps.Keys(home)))
			}
		}
	})
}

// TestLossIsTold once it is over, to everybody, and again on a new link.
func TestLossIsTold(t *testing.T) {
	b := newBench(t)
	b.Linked("n2", true)
	b.disk.full = true
	told := func() (times int) {
		for _, f := range b.frames {
			if f.Lost {
				times++
			}
		}
		return times
	}
	b.step(time.Millisecond)
	b.Keep("n3", &session.Fact{Address: session.Address{Account: "a", Device: "x"}, Origin: session.Origin{Node: "n1", Epoch: 1}})
	b.step(time.Millisecond)
	b.step((lostQuietMS - 1) * time.Millisecond)
	if n := told(); n != 0 || b.count.lost.Load() != 1 {
		t.Errorf("told %d times while more may be lost, %d are", n, b.count.lost.Load())
	}
	b.step(time.Millisecond)
	b.step(time.Millisecond)
	if n := told(); n != 1 {
		t.Errorf("told %d times", n)
	}
	b.Linked("n2", false)
	b.Linked("n2", true)
	b.step(time.Millisecond)
	if n := told(); n != 2 {
		t.Errorf("told %d times after another link", n)
	}
}

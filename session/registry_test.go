package session

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"unsafe"

	"pgregory.net/rapid"
)

// check panics with the first thing about the registry that cannot be: every
// session is where each of the ways to find it says, and nothing else is.
func (r *Registry) check() {
	total := 0
	for n := range r.shards {
		sh := &r.shards[n]
		var all []*Session
		sh.slots.each(func(s *Session) { all = append(all, s) })
		total += len(all)
		accounts := map[string]int{}
		for _, s := range all {
			accounts[s.Account]++
			if shardOf(s.Number) != n || sh.slots.get(slotOf(s.Number)) != s {
				panic(fmt.Sprintf("%v: number %x does not lead to it", s, s.Number))
			}
			if sh.lookup(s.hash, s.Account, s.Device) != s {
				panic(fmt.Sprintf("%v is not found by its address", s))
			}
		}
		for account, want := range accounts {
			_, own, _ := r.where(account, "")
			got, prev := 0, uint32(0)
			for s := sh.head(own, account); s != nil; s = sh.slots.link(s.next) {
				if s.prev != prev || s.Account != account {
					panic(fmt.Sprintf("the chain of %s is broken at %v", account, s))
				}
				prev = slotOf(s.Number) + 1
				got++
			}
			if got != want {
				panic(fmt.Sprintf("the chain of %s has %d sessions, want %d", account, got, want))
			}
		}
		sh.devices.check(len(all))
		sh.accounts.check(len(accounts))
		sh.slots.check(len(all))
	}
	if total != r.Len() {
		panic(fmt.Sprintf("Len is %d, want %d", r.Len(), total))
	}
}

func (x *index) check(want int) {
	entries := 0
	for _, e := range x.entries {
		if e != 0 {
			entries++
		}
	}
	if entries != want || x.length != want || 5*want > 4*len(x.entries) {
		panic(fmt.Sprintf("index of %d has %d entries and says %d, want %d", len(x.entries), entries, x.length, want))
	}
}

func (t *slots) check(taken int) {
	vacant := 0
	for n := t.open; n != 0; n = t.pages[n-1].next {
		for i, s := range t.pages[n-1].sessions {
			if free := t.pages[n-1].vacant>>i&1 == 1; free != (s == nil) {
				panic("a page's bitmap is not what its slots are")
			} else if free {
				vacant++
			}
		}
	}
	if vacant+taken != len(t.pages)*pageSlots {
		panic(fmt.Sprintf("%d slots of %d pages are taken and %d listed as free", taken, len(t.pages), vacant))
	}
}

// TestRegistryModel plays random opens, closes and look-ups against maps.
func TestRegistryModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := NewRegistry()
		model := map[Address]*Session{}
		var ever []*Session
		// Few names and many, so that both displacement and growth happen.
		names := rapid.SampledFrom([]int{3, 40, 1000}).Draw(t, "names")
		address := rapid.Custom(func(t *rapid.T) Address {
			return Address{
				Account: fmt.Sprint("a", rapid.IntRange(0, names).Draw(t, "account")),
				Device:  fmt.Sprint("d", rapid.IntRange(0, 5).Draw(t, "device")),
			}
		})
		numbers := map[uint64]bool{}
		t.Repeat(map[string]func(*rapid.T){
			"open": func(t *rapid.T) {
				for range rapid.IntRange(1, 60).Draw(t, "times") {
					a := address.Draw(t, "address")
					s := New(a.Account, a.Device)
					if old := r.Open(s); old != model[a] {
						t.Fatalf("Open(%v) displaced %v, want %v", a, old, model[a])
					}
					if numbers[s.Number] || s.Number == 0 {
						t.Fatalf("number %x is given twice", s.Number)
					}
					numbers[s.Number] = true
					model[a] = s
					ever = append(ever, s)
				}
			},
			"close": func(t *rapid.T) {
				for range rapid.IntRange(1, 40).Draw(t, "times") {
					if len(ever) == 0 {
						return
					}
					s := rapid.SampledFrom(ever).Draw(t, "session")
					if got, want := r.Close(s), model[s.Address] == s; got != want {
						t.Fatalf("Close(%v) is %v, want %v", s, got, want)
					}
					if model[s.Address] == s {
						delete(model, s.Address)
					}
				}
			},
			"lookup": func(t *rapid.T) {
				a := address.Draw(t, "address")
				if got := r.Lookup(a.Account, a.Device); got != model[a] {
					t.Fatalf("Lookup(%v) is %v, want %v", a, got, model[a])
				}
				want := map[*Session]bool{}
				for b, s := range model {
					if b.Account == a.Account {
						want[s] = true
					}
				}
				same(t, r.AppendAccount(nil, a.Account), want)
			},
			"all": func(t *rapid.T) {
				var all []*Session
				for n := range r.Shards() {
					all = r.AppendAll(all, n)
				}
				want := map[*Session]bool{}
				for _, s := range model {
					want[s] = true
				}
				same(t, all, want)
				for _, s := range ever {
					if got := r.ByNumber(s.Number); (got == s) != want[s] || got != s && got != nil {
						t.Fatalf("ByNumber(%x) is %v", s.Number, got)
					}
				}
			},
			"": func(*rapid.T) { r.check() },
		})
	})
}

func same(t *rapid.T, got []*Session, want map[*Session]bool) {
	for i, s := range got {
		if !want[s] || slices.Contains(got[:i], s) {
			t.Fatalf("%v is one too many", s)
		}
	}
	if len(got) != len(want) {
		t.Fatalf("got %d sessions, want %d", len(got), len(want))
	}
}

// TestRegistryChurn fills, thins and refills one account's and many accounts'
// indexes: long clusters are what backward shift deletion gets wrong.
func TestRegistryChurn(t *testing.T) {
	for _, devices := range []int{1, 7, 5000} {
		t.Run(fmt.Sprint(devices, " devices"), func(t *testing.T) {
			r, rnd := NewRegistry(), rand.New(rand.NewPCG(1, uint64(devices)))
			var open []*Session
			for round := range 4 {
				for i := range 5000 {
					j := round*5000 + i
					s := New(fmt.Sprint("a", j/devices), fmt.Sprint("d", j%devices))
					if r.Open(s) != nil {
						t.Fatal("displaced a session of another address")
					}
					open = append(open, s)
				}
				rnd.Shuffle(len(open), func(i, j int) { open[i], open[j] = open[j], open[i] })
				for _, s := range open[len(open)/4:] {
					if !r.Close(s) || r.Close(s) {
						t.Fatal("Close is not true once")
					}
				}
				open = open[:len(open)/4]
				r.check()
			}
		})
	}
}

func TestRegistryReusesSlots(t *testing.T) {
	r := NewRegistry()
	for i := range 10_000 {
		a, b := New("a", "x"), New("a", "y")
		r.Open(a)
		r.Open(b)
		if !r.Close(a) || !r.Close(b) {
			t.Fatalf("round %d: not closed", i)
		}
	}
	for n := range r.shards {
		if p := len(r.shards[n].slots.pages); p > 1 {
			t.Errorf("shard %d has %d pages for two sessions at a time", n, p)
		}
	}
}

// TestRegistryNever opened sessions are not closed, and numbers nobody gave lead
// nowhere.
func TestRegistryNever(t *testing.T) {
	r := NewRegistry()
	if r.Close(New("a", "d")) {
		t.Error("closed a session that was never opened")
	}
	for _, n := range []uint64{0, 1, 1 << 28, ^uint64(0)} {
		if s := r.ByNumber(n); s != nil {
			t.Errorf("ByNumber(%x) is %v", n, s)
		}
	}
	if s := r.Lookup("a", "d"); s != nil || r.AppendAccount(nil, "a") != nil {
		t.Error("an empty registry has a session")
	}
}

// TestRegistryRace lets goroutines fight over few addresses: with -race it finds
// unguarded access, without it a broken count.
func TestRegistryRace(t *testing.T) {
	r := NewRegistry()
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(7, uint64(g)))
			var mine []*Session
			for range 3000 {
				account, device := fmt.Sprint("a", rnd.IntN(4)), fmt.Sprint("d", rnd.IntN(4))
				switch rnd.IntN(5) {
				case 0, 1:
					s := New(account, device)
					r.Open(s)
					mine = append(mine, s)
				case 2, 3:
					if len(mine) > 0 {
						i := rnd.IntN(len(mine))
						r.Close(mine[i])
						mine = slices.Delete(mine, i, i+1)
					}
				default:
					if s := r.Lookup(account, device); s != nil && (s.Account != account || r.ByNumber(s.Number) == nil && s.Number == 0) {
						t.Error("looked up another session")
					}
					for _, s := range r.AppendAccount(nil, account) {
						if s.Account != account {
							t.Error("another account's session in the chain")
						}
					}
					r.AppendAll(nil, rnd.IntN(r.Shards()))
				}
			}
			for _, s := range mine {
				r.Close(s)
			}
		})
	}
	wg.Wait()
	r.check()
	if r.Len() != 0 {
		t.Errorf("Len is %d after everybody has closed what they opened", r.Len())
	}
}

func TestSessionSize(t *testing.T) {
	if n := unsafe.Sizeof(Session{}); n > 112 {
		t.Errorf("a Session is %d bytes: it has left its size class of 112", n)
	}
	s := New("alice", "phone")
	if s.Account != "alice" || s.Device != "phone" || s.String() != "alice/phone" {
		t.Errorf("New made %v", s)
	}
	if unsafe.StringData(s.Device) != (*byte)(unsafe.Add(unsafe.Pointer(unsafe.StringData(s.Account)), 6)) {
		t.Error("the names do not share one string")
	}
}

func TestRegistryLookupAllocatesNothing(t *testing.T) {
	r := NewRegistry()
	s := New("alice", "phone")
	r.Open(s)
	room := make([]*Session, 0, 4)
	if n := testing.AllocsPerRun(100, func() {
		if r.Lookup("alice", "phone") != s || r.ByNumber(s.Number) != s || r.Lookup("alice", "tv") != nil || len(r.AppendAccount(room, "alice")) != 1 {
			t.Fatal("wrong session")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { r.Close(s); r.Open(s) }); n != 0 {
		t.Errorf("open and close: %v allocations", n)
	}
}

func filled(n int) (*Registry, []*Session) {
	r, all := NewRegistry(), make([]*Session, n)
	for i := range all {
		all[i] = New(fmt.Sprint("account-", i), "phone")
		r.Open(all[i])
	}
	return r, all
}

func BenchmarkRegistry(b *testing.B) {
	for _, n := range []int{18_000, 1_000_000} {
		r, all := filled(n)
		rnd := rand.New(rand.NewPCG(1, 2))
		rnd.Shuffle(n, func(i, j int) { all[i], all[j] = all[j], all[i] })
		b.Run(fmt.Sprint("lookup/", n), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				s := all[i%n]
				if r.Lookup(s.Account, s.Device) != s {
					b.Fatal("not found")
				}
			}
		})
		b.Run(fmt.Sprint("close+open/", n), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if s := all[i%n]; !r.Close(s) || r.Open(s) != nil {
					b.Fatal("not there")
				}
			}
		})
	}
}

// BenchmarkRegistryMemory reports what a session costs: the index alone, and all of
// it (index, struct and names).
func BenchmarkRegistryMemory(b *testing.B) {
	for _, n := range []int{18_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var before, made, opened runtime.MemStats
			for b.Loop() {
				all := make([]*Session, n)
				measure(&before)
				for i := range all {
					all[i] = New(fmt.Sprintf("account-%d", i), "phone")
				}
				measure(&made)
				r := NewRegistry()
				for _, s := range all {
					r.Open(s)
				}
				measure(&opened)
				runtime.KeepAlive(r)
				runtime.KeepAlive(all)
			}
			b.ReportMetric(float64(opened.HeapAlloc-made.HeapAlloc)/float64(n), "index-B/session")
			b.ReportMetric(float64(opened.HeapAlloc-before.HeapAlloc)/float64(n), "B/session")
		})
	}
}

func measure(m *runtime.MemStats) {
	runtime.GC()
	runtime.ReadMemStats(m)
}

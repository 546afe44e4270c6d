package processor

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/roostpush/roost/session"
)

// raced says that the race detector is on: it makes sync.Pool forget at random.
var raced bool

// instant is a pusher whose attempts are over before it returns.
type instant struct{}

func (instant) Push(_ *Record, _ int, done func(Result)) {
	var r Result
	r.Counts[session.Written] = 1
	done(r)
}

func still() int64 { return 1_800_000_000_000 }

func TestRecordsAndTurnsAllocateNothing(t *testing.T) {
	if raced {
		t.Skip("pools forget at random under the race detector")
	}
	w := &world{t: t}
	w.p = New(Default(), instant{}, still, still)
	results := 0
	done := func(Result) { results++ }
	for name, r := range map[string]*Record{
		"plain":    {Account: "alice", Device: "tv", Payload: []byte(`{"a":1}`)},
		"in order": {Account: "alice", Device: "tv", Key: 7, TTLMS: 60_000, Payload: []byte(`{"a":1}`)},
		"topic":    {Topic: "news", Payload: []byte(`{"a":1}`)},
		"repeated": {Account: "alice", ID: "1", Payload: []byte(`{"a":1}`)},
	} {
		fn := func() {
			w.p.Take(r, done)
			w.pump()
		}
		fn()
		if n := testing.AllocsPerRun(500, fn); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	if want := 4 * 502; results != want {
		t.Errorf("%d results, want %d", results, want)
	}
	run := func(done func()) { done() }
	if n := testing.AllocsPerRun(500, func() {
		w.p.Turn(session.PriorityHigh, "alice", run)
		w.pump()
	}); n != 0 {
		t.Errorf("turn: %v allocations", n)
	}
}

// BenchmarkRecord is a record from Take to its result, by the goroutine of Run.
func BenchmarkRecord(b *testing.B) {
	for _, accounts := range []int{1, 1000} {
		for name, id := range map[string]bool{"plain": false, "id": true} {
			b.Run(fmt.Sprintf("%s/accounts=%d", name, accounts), func(b *testing.B) {
				p := New(Default(), instant{}, still, still)
				ctx, cancel := context.WithCancel(context.Background())
				var run sync.WaitGroup
				run.Go(func() { p.Run(ctx) })
				records := make([]Record, 16_384)
				for i := range records {
					records[i] = Record{Account: fmt.Sprint("account-", i%accounts), Key: uint64(i%accounts + 1), Payload: make([]byte, 100)}
				}
				ids := make([]string, len(records))
				for i := range ids {
					ids[i] = fmt.Sprint("id-", i)
				}
				var left sync.WaitGroup
				done := func(Result) { left.Done() }
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					r := &records[i%len(records)]
					if i%len(records) == 0 {
						left.Wait() // nobody may have a record that is used again
					}
					if id {
						r.ID, r.IDScope = ids[i%len(records)], ids[i/len(records)%len(ids)]
					}
					left.Add(1)
					for !p.Take(r, done) {
						<-p.Room(r.Priority)
					}
				}
				left.Wait()
				cancel()
				run.Wait()
			})
		}
	}
}

// BenchmarkNext is the schedule alone, with so many accounts that wait.
func BenchmarkNext(b *testing.B) {
	for _, accounts := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprintf("accounts=%d", accounts), func(b *testing.B) {
			var s schedule
			cfg := Default()
			s.reset(cfg)
			for i := range 3 * accounts {
				s.add(&task{lane: &s.lanes[i%3], party: uint64(i / 3), record: &Record{}})
			}
			b.ReportAllocs()
			for b.Loop() {
				t := s.next()
				s.end(t)
				s.enqueue(t)
			}
		})
	}
}

func BenchmarkParseHeaders(b *testing.B) {
	all := [][2]string{
		{"roost-account", "account-1"}, {"roost-device", "device-1"}, {"roost-id", "some-id-1"}, {"roost-ttl-ms", "60000"},
		{"content-type", "application/json"}, {"traceparent", trace},
	}
	list := func(yield func(name, value string) bool) {
		for _, h := range all {
			if !yield(h[0], h[1]) {
				return
			}
		}
	}
	r := Record{Payload: []byte(`{"type":"news","text":"some text of some length","n":[1,2,3,4,5,6,7,8,9,10]}`)}
	b.ReportAllocs()
	for b.Loop() {
		if why := ParseHeaders(&r, list); why != nil {
			b.Fatal(why)
		}
	}
}

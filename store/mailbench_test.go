package store

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/roostpush/roost/session"
)

// cpuTime is the processor time of the process, in user space and in the kernel.
func cpuTime(b *testing.B) time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// mailProducer posts messages of 100 bytes for 10,000 accounts and settles each as soon
// as it is kept.
type mailProducer struct {
	epoch   uint64
	keep    func(list []session.Kept, done func(error))
	settle  func(a session.Address, id session.ID, o session.Outcome, atMS int64)
	payload []byte
	names   []string
	number  *atomic.Uint64 // one sequence of ids for all producers, as a node has
	slots   chan *mailFlight
}

// mailFlight is a message on its way, with the function that it is told by.
type mailFlight struct {
	list [1]session.Kept
	done func(error)
}

func newMailProducer(b *testing.B, s *Store, number *atomic.Uint64, window int) *mailProducer {
	p := &mailProducer{epoch: s.Epoch(), keep: s.Post, settle: s.Settle, payload: []byte(strings.Repeat("p", 100)), number: number, slots: make(chan *mailFlight, window)}
	for i := range 10_000 {
		p.names = append(p.names, fmt.Sprint("account-", i))
	}
	for range window {
		f := &mailFlight{}
		f.done = func(err error) {
			if err != nil {
				b.Error(err)
			}
			p.settle(f.list[0].Address, f.list[0].ID, session.Acked, f.list[0].SentMS)
			p.slots <- f
		}
		p.slots <- f
	}
	return p
}

func (p *mailProducer) post() {
	f := <-p.slots
	n := p.number.Add(1)
	now := time.Now().UnixMilli()
	f.list[0] = session.Kept{ID: session.ID{Origin: session.Origin{Node: "n1", Epoch: p.epoch}, Number: session.MessageID(n)},
		Address: session.Address{Account: p.names[n*7919%10_000], Device: "phone"}, Payload: p.payload, SentMS: now, ExpiresMS: now + 3_600_000}
	p.keep(f.list[:], f.done)
}

func (p *mailProducer) wait() {
	for range cap(p.slots) {
		<-p.slots
	}
}

// BenchmarkPostSettle is a message from Post to Settle, synced, on a real disk, by eight
// producers that have 1,000 messages under way each, as fast as it goes and at 20,000 a
// second. What the producers alone cost, with a store that keeps nothing, is the floor.
func BenchmarkPostSettle(b *testing.B) {
	for _, mem := range []int{0, 256 << 10, 1 << 20, 4 << 20} {
		for _, rate := range []int{0, 20_000} {
			name := fmt.Sprintf("memtable=%dk/rate=%d", mem>>10, rate)
			if mem == 0 {
				name = fmt.Sprintf("floor/rate=%d", rate)
			}
			b.Run(name, func(b *testing.B) {
				s := benchOpen(b, b.TempDir(), func(c *Config) {
					if mem > 0 {
						c.MailMemTableBytes, c.MailCacheBytes = mem, max(c.MailCacheBytes, 3*mem)
					}
				})
				benchPostSettle(b, s, mem == 0, rate)
			})
		}
	}
}

func benchPostSettle(b *testing.B, s *Store, floor bool, rate int) {
	const producers = 8
	var number atomic.Uint64
	var all []*mailProducer
	for range producers {
		p := newMailProducer(b, s, &number, 1000)
		if floor {
			p.keep = func(_ []session.Kept, done func(error)) { done(nil) }
			p.settle = func(session.Address, session.ID, session.Outcome, int64) {}
		}
		all = append(all, p)
	}
	b.ReportAllocs()
	b.ResetTimer()
	cpu := cpuTime(b)
	begin := time.Now()
	var done sync.WaitGroup
	for _, p := range all {
		done.Go(func() {
			for n := range b.N / producers {
				if rate > 0 && n%10 == 0 {
					time.Sleep(time.Until(begin.Add(time.Duration(n) * producers * time.Second / time.Duration(rate))))
				}
				p.post()
			}
			p.wait()
		})
	}
	done.Wait()
	b.StopTimer()
	b.ReportMetric(float64((cpuTime(b)-cpu).Microseconds())/float64(b.N), "cpu-us/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
	st := s.MailStats()
	b.ReportMetric(float64(st.Posted)/float64(max(st.Commits, 1)), "messages/commit")
	if st.Refused+st.Dropped > 0 {
		b.Errorf("%+v", st)
	}
}

// BenchmarkPostSettleLater is the same with 2,000 messages on their way to devices and back: each
// is settled when so many have been kept after it. Whatever of a group waits when its write buffer
// is full goes to a table.
func BenchmarkPostSettleLater(b *testing.B) {
	for _, mem := range []int{1 << 20, 4 << 20} {
		b.Run(fmt.Sprintf("memtable=%dk", mem>>10), func(b *testing.B) {
			s := benchOpen(b, b.TempDir(), func(c *Config) { c.MailMemTableBytes, c.MailCacheBytes = mem, 16<<20 })
			var number atomic.Uint64
			p := newMailProducer(b, s, &number, 1000)
			under := make(chan session.Kept, 2000)
			p.settle = func(a session.Address, id session.ID, o session.Outcome, atMS int64) {
				select {
				case under <- session.Kept{Address: a, ID: id}:
				default:
					k := <-under
					s.Settle(k.Address, k.ID, o, atMS)
					under <- session.Kept{Address: a, ID: id}
				}
			}
			b.ReportAllocs()
			b.ResetTimer()
			cpu := cpuTime(b)
			begin := time.Now()
			for n := range b.N {
				if n%10 == 0 {
					time.Sleep(time.Until(begin.Add(time.Duration(n) * time.Second / 20_000)))
				}
				p.post()
			}
			p.wait()
			b.StopTimer()
			b.ReportMetric(float64((cpuTime(b)-cpu).Microseconds())/float64(b.N), "cpu-us/op")
			m := s.mail.db.Metrics()
			b.ReportMetric(float64(m.Flush.WriteThroughput.Bytes)/float64(b.N), "flushed-B/op")
		})
	}
}

func TestPostAndSettleDoNotAllocate(t *testing.T) {
	cfg := testConfig("d")
	cfg.MailGroupInterval = time.Second // its writer sleeps: what is counted is the queue alone
	cfg.MailMemTableBytes, cfg.MailCacheBytes = 64<<20, 256<<20
	s := mustOpen(t, cfg, time.Now, vfs.NewMem())
	mustPost(t, s, keptFor("a/d", 1, 1, "x"))
	list := []session.Kept{keptFor("account/device", 1, 1, strings.Repeat("p", 100))}
	list[0].From, list[0].Trace = "tablet", strings.Repeat("t", 55)
	done := func(error) {}
	op := func() {
		list[0].Number++
		s.Post(list, done)
		s.Settle(list[0].Address, list[0].ID, session.Acked, 1)
	}
	s.mail.mu.Lock()
	g := s.groupLocked() // as it is in the middle of a rush
	g.told, g.settled, g.entries = make([]func(error), 0, 4096), make([]settlement, 0, 4096), make([]youngEntry, 0, 4096)
	g.young, g.keys, g.ends = make([]byte, 0, 4<<20), make([]byte, 0, 1<<20), make([]byte, 0, 1<<20)
	s.mail.mu.Unlock()
	if n := testing.AllocsPerRun(1000, op); n != 0 {
		t.Errorf("%v allocations for a post and a settlement", n)
	}
}

// fillMail keeps n messages of 100 bytes, 100 for each of n/100 devices.
func fillMail(b *testing.B, s *Store, n int) {
	payload := []byte(strings.Repeat("p", 100))
	const rush = 500
	told := make(chan error, 64)
	sent, heard := 0, 0
	for i := 0; i < n; i += rush {
		list := make([]session.Kept, 0, rush)
		for j := i; j < min(i+rush, n); j++ {
			list = append(list, session.Kept{ID: session.ID{Origin: session.Origin{Node: "n1", Epoch: s.Epoch()}, Number: session.MessageID(j + 1)},
				Address: session.Address{Account: fmt.Sprint("account-", j%(n/100)), Device: "phone"}, Payload: payload, SentMS: 1, ExpiresMS: 2})
		}
		s.Post(list, func(err error) { told <- err })
		for sent++; sent-heard >= 8; heard++ {
			if err := <-told; err != nil {
				b.Fatal(err)
			}
		}
	}
	for ; heard < sent; heard++ {
		if err := <-told; err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkMillionMessages is what a start with 1,000,000 messages costs, and a device's 100.
func BenchmarkMillionMessages(b *testing.B) {
	const messages = 1_000_000
	dir := b.TempDir()
	s := benchOpen(b, dir, nil)
	fillMail(b, s, messages)
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	cfg := Default()
	cfg.Directory = dir
	b.Run("open", func(b *testing.B) {
		var worst time.Duration
		for b.Loop() {
			begin := time.Now()
			s, err := Open(cfg, "n1", quiet, time.Now)
			if err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			worst = max(worst, time.Since(begin))
			if n := s.MailStats().Messages; n != messages {
				b.Fatal(n)
			}
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
		b.ReportMetric(float64(worst.Milliseconds()), "worst-ms")
	})
	s, err := Open(cfg, "n1", quiet, time.Now)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	b.Run("mail of a device", func(b *testing.B) {
		i := 0
		var list []session.Kept
		for b.Loop() {
			i = (i + 7919) % (messages / 100)
			var err error
			if list, err = s.Mail(list[:0], session.Address{Account: fmt.Sprint("account-", i), Device: "phone"}, session.ID{}, 128, 256<<10); err != nil || len(list) != 100 {
				b.Fatal(len(list), err)
			}
		}
	})
	b.Run("mailboxes", func(b *testing.B) {
		for b.Loop() {
			n := 0
			if err := s.Mailboxes(func(session.Address, session.ID, int64, string) bool { n++; return true }); err != nil || n != messages {
				b.Fatal(n, err)
			}
		}
	})
	b.Run("fates", func(b *testing.B) {
		n := 0
		for b.Loop() {
			n = (n + 7919) % messages
			id := session.ID{Origin: session.Origin{Node: "n1", Epoch: 1}, Number: session.MessageID(n + 1)}
			if _, found, err := s.Fates(id); !found || err != nil {
				b.Fatal(id, err)
			}
		}
	})
}

package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/roostpush/roost/session"
)

const benchAgent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"

func TestOpenedAndClosedDoNotAllocate(t *testing.T) {
	cfg := testConfig("d") // its writer sleeps: what is counted is the journal alone
	cfg.JournalBytesMax = 64 << 20
	s := mustOpen(t, cfg, time.Now, vfs.NewMem())
	for range 20 { // chunks, as they are after a storm
		s.journal.free = append(s.journal.free, make([]byte, 0, journalChunkBytes))
	}
	s.journal.chunks = make([][]byte, 0, 64)
	sess := newSession("account", "device", 1, 1_800_000_000_000)
	attrs := []byte(`{"os":"linux"}`)
	var journal, full float64
	journal = testing.AllocsPerRun(1000, func() {
		s.Opened(sess, benchAgent, "127.0.0.1:12345", attrs)
		s.Closed(sess, 1_800_000_001_000, 1001)
	})
	s.journal.mu.Lock()
	s.journal.heldMax, s.journal.free = 0, nil
	s.journal.mu.Unlock()
	full = testing.AllocsPerRun(1000, func() {
		s.Opened(sess, benchAgent, "127.0.0.1:12345", attrs)
		s.Closed(sess, 1_800_000_001_000, 1001)
	})
	if journal != 0 || full != 0 {
		t.Errorf("%v allocations for an opening and a close, %v with a full journal", journal, full)
	}
}

func benchOpen(b *testing.B, dir string, change func(*Config)) *Store {
	cfg := Default()
	cfg.Directory = dir
	if change != nil {
		change(&cfg)
	}
	s, err := Open(cfg, "n1", quiet, time.Now)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s
}

// fillStore opens n sessions of n/4 accounts and waits until they are on disk.
func fillStore(b *testing.B, s *Store, n int) {
	for i := range n {
		s.Opened(newSession(fmt.Sprint("account", i/4), fmt.Sprint("device", i%4), uint64(i+1), time.Now().UnixMilli()), benchAgent, "127.0.0.1:12345", nil)
		if i%20_000 == 19_999 {
			mustFlush(b, s)
		}
	}
	mustFlush(b, s)
}

// BenchmarkOpened is what an event loop pays, with the writer at work beside it.
func BenchmarkOpened(b *testing.B) {
	s := benchOpen(b, b.TempDir(), nil)
	sess := newSession("account", "device", 1, time.Now().UnixMilli())
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		s.Opened(sess, benchAgent, "127.0.0.1:12345", nil)
		if n++; n%20_000 == 0 { // nobody connects faster than the disk for ever
			b.StopTimer()
			mustFlush(b, s)
			b.StartTimer()
		}
	}
	if st := s.Stats(); st.DroppedFull > 0 {
		b.Errorf("%d dropped", st.DroppedFull)
	}
}

// BenchmarkCommit is from the journal to the synced disk: one op is an opening and
// a close of another device.
func BenchmarkCommit(b *testing.B) {
	for _, mem := range []int{256 << 10, 1 << 20, 4 << 20} {
		b.Run(fmt.Sprintf("memtable=%dk", mem>>10), func(b *testing.B) {
			s := benchOpen(b, b.TempDir(), func(c *Config) { c.MemTableBytes, c.CacheBytes = mem, max(c.CacheBytes, 3*mem) })
			sessions := make([]*session.Session, 100_000)
			for i := range sessions {
				sessions[i] = newSession(fmt.Sprint("account", i*7919%100_000), "device", 0, time.Now().UnixMilli())
			}
			n := uint64(0)
			for b.Loop() {
				n++
				sess := sessions[n%uint64(len(sessions))]
				sess.Number = n
				s.Opened(sess, benchAgent, "127.0.0.1:12345", nil)
				s.Closed(sess, sess.OpenedMS+1, 1000)
				if n%5000 == 0 {
					mustFlush(b, s)
				}
			}
			mustFlush(b, s)
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "devices/s")
			if st := s.Stats(); st.DroppedFull > 0 {
				b.Errorf("%d dropped", st.DroppedFull)
			}
		})
	}
}

func BenchmarkDevice(b *testing.B) {
	s := benchOpen(b, b.TempDir(), nil)
	fillStore(b, s, 200_000)
	b.Run("known", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			i = (i + 7919) % 200_000
			mustDevice(b, s, fmt.Sprint("account", i/4), fmt.Sprint("device", i%4))
		}
	})
	b.Run("unknown", func(b *testing.B) {
		i := 0
		for b.Loop() {
			i++
			if _, ok, err := s.Device(session.Address{Account: fmt.Sprint("account", i%50_000), Device: "other"}); ok || err != nil {
				b.Fatal(ok, err)
			}
		}
	})
}

func BenchmarkAccount(b *testing.B) {
	s := benchOpen(b, b.TempDir(), nil)
	fillStore(b, s, 200_000)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i = (i + 7919) % 50_000
		if records, err := s.Account(fmt.Sprint("account", i), 100); err != nil || len(records) != 4 {
			b.Fatal(len(records), err)
		}
	}
}

// BenchmarkReopen opens a directory whose sessions an earlier epoch left open:
// the time must not depend on how many.
func BenchmarkReopen(b *testing.B) {
	for _, n := range []int{1_000, 100_000, 500_000} {
		b.Run(fmt.Sprintf("records=%d", n), func(b *testing.B) {
			dir := b.TempDir()
			s := benchOpen(b, dir, nil)
			fillStore(b, s, n)
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
			cfg := Default()
			cfg.Directory = dir
			var worst time.Duration
			for b.Loop() {
				begin := time.Now()
				s, err := Open(cfg, "n1", quiet, time.Now)
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				worst = max(worst, time.Since(begin))
				if rec := mustDevice(b, s, "account7", "device1"); rec.Online() {
					b.Fatal("still open")
				}
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
			b.ReportMetric(float64(worst.Milliseconds()), "worst-ms")
		})
	}
}

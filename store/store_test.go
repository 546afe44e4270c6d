package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/roostpush/roost/session"
)

func TestRecordOfASession(t *testing.T) {
	c := newClock()
	opened := c.ms.Load() + 5
	type event struct {
		number uint64
		close  uint16 // 0: opening
		atMS   int64
	}
	for _, tt := range []struct {
		name   string
		events []event
		number uint64
		closed int64
		code   uint16
		ua     string
	}{
		{"open", []event{{1, 0, 0}}, 1, 0, 0, "ua1"},
		{"closed", []event{{1, 0, 0}, {1, 1000, 50}}, 1, 50, 1000, "ua1"},
		{"displaced", []event{{1, 0, 0}, {2, 0, 0}, {1, 4001, 50}}, 2, 0, 0, "ua2"},
		{"displaced and closed", []event{{1, 0, 0}, {2, 0, 0}, {1, 4001, 50}, {2, 1001, 60}}, 2, 60, 1001, "ua2"},
		{"late close of the older", []event{{1, 0, 0}, {2, 0, 0}, {2, 1001, 60}, {1, 4001, 50}}, 2, 60, 1001, "ua2"},
		{"late opening of the older", []event{{2, 0, 0}, {1, 0, 0}, {1, 4001, 50}}, 2, 0, 0, "ua2"},
		{"close before its opening", []event{{1, 1000, 50}, {1, 0, 0}}, 1, 50, 1000, "ua1"},
		{"close without its opening", []event{{1, 1000, 50}}, 1, 50, 1000, ""},
	} {
		for _, split := range []bool{false, true} { // one batch, or one for each event
			t.Run(fmt.Sprintf("%s/split=%v", tt.name, split), func(t *testing.T) {
				s := mustOpen(t, testConfig("d"), c.now, vfs.NewMem())
				for _, e := range tt.events {
					sess := newSession("acme", "phone", e.number, opened)
					if e.close == 0 {
						s.Opened(sess, fmt.Sprintf("ua%d", e.number), "10.0.0.1:99", []byte(`{"a":1}`))
					} else {
						s.Closed(sess, opened+e.atMS, e.close)
					}
					if split {
						mustFlush(t, s)
					}
				}
				mustFlush(t, s)
				rec := mustDevice(t, s, "acme", "phone")
				want := session.Record{
					Address: session.Address{Account: "acme", Device: "phone"}, Node: "n1",
					Session:  session.Origin{Node: "n1", Epoch: 1}.Text(tt.number),
					OpenedMS: opened, SeenMS: opened, CloseCode: tt.code, UserAgent: tt.ua,
				}
				if tt.closed > 0 {
					want.ClosedMS, want.SeenMS = opened+tt.closed, opened+tt.closed
				}
				if tt.ua != "" {
					want.Remote, want.Attrs = "10.0.0.1:99", []byte(`{"a":1}`)
				}
				if fmt.Sprintf("%+v", rec) != fmt.Sprintf("%+v", want) {
					t.Errorf("got\n %+v, want\n %+v", rec, want)
				}
			})
		}
	}
}

func TestOpenRecordIsSeenAtTheHeartbeat(t *testing.T) {
	c := newClock()
	s := mustOpen(t, testConfig("d"), c.now, vfs.NewMem())
	opened := c.ms.Load() + 10
	s.Opened(newSession("a", "d", 1, opened), "", "", nil)
	mustFlush(t, s)
	if rec := mustDevice(t, s, "a", "d"); rec.SeenMS != opened {
		t.Errorf("seen %d before a heartbeat, want the opening %d", rec.SeenMS, opened)
	}
	c.advance(time.Hour)
	beatNow(t, s)
	if rec := mustDevice(t, s, "a", "d"); rec.SeenMS != c.ms.Load() || !rec.Online() {
		t.Errorf("seen %d, online %v, want the heartbeat %d", rec.SeenMS, rec.Online(), c.ms.Load())
	}
}

func TestAccountListsItsDevicesOnly(t *testing.T) {
	s := mustOpen(t, testConfig("d"), newClock().now, vfs.NewMem())
	for i, a := range []string{"acm/z", "acme/b", "acme/a", "acme/c", "acme2/a", "acmf/a", "é/ü"} {
		addr, err := session.ParseAddress(a)
		if err != nil {
			t.Fatal(err)
		}
		s.Opened(newSession(addr.Account, addr.Device, uint64(i+1), 1_800_000_000_000), "", "", nil)
	}
	mustFlush(t, s)
	for _, tt := range []struct {
		account string
		limit   int
		want    string
	}{{"acme", 10, "a b c"}, {"acme", 2, "a b"}, {"acm", 10, "z"}, {"é", 10, "ü"}, {"ac", 10, ""}, {"acme", 0, ""}} {
		records, err := s.Account(tt.account, tt.limit)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, r := range records {
			names = append(names, r.Device)
			if r.Account != tt.account {
				t.Errorf("%s: record of %s", tt.account, r.Address)
			}
		}
		if got := strings.Join(names, " "); got != tt.want {
			t.Errorf("Account(%q, %d) = %q, want %q", tt.account, tt.limit, got, tt.want)
		}
	}
}

func TestLongTextsAreCut(t *testing.T) {
	cfg := testConfig("d")
	cfg.UserAgentBytesMax, cfg.AttrsBytesMax = 5, 8
	s := mustOpen(t, cfg, newClock().now, vfs.NewMem())
	s.Opened(newSession("a", "d", 1, 1_800_000_000_000), "1234é", strings.Repeat("f", 300), []byte(`{"a":"bcdef"}`))
	mustFlush(t, s)
	rec := mustDevice(t, s, "a", "d")
	if rec.UserAgent != "1234" || len(rec.Remote) != cfg.RemoteBytesMax || rec.Attrs != nil {
		t.Errorf("user agent %q, remote of %d bytes, attributes %q", rec.UserAgent, len(rec.Remote), rec.Attrs)
	}
	if n := s.Stats().AttrsLeftOut; n != 1 {
		t.Errorf("AttrsLeftOut = %d, want 1", n)
	}
}

func TestEpochGrowsWithEachOpen(t *testing.T) {
	cfg := testConfig(t.TempDir())
	for want := uint64(1); want <= 4; want++ {
		s, err := Open(cfg, "n1", quiet, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		if s.Epoch() != want {
			t.Fatalf("epoch %d, want %d", s.Epoch(), want)
		}
		if err := errors.Join(s.Close(), s.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAfterClose(t *testing.T) {
	c := newClock()
	fs := vfs.NewMem()
	s := mustOpen(t, testConfig("d"), c.now, fs)
	s.Opened(newSession("a", "waits", 1, c.ms.Load()), "ua", "", nil)
	c.advance(time.Minute)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	closedMS := c.ms.Load()
	s.Opened(newSession("a", "late", 2, c.ms.Load()), "", "", nil)
	if n := s.Stats().DroppedLate; n != 1 {
		t.Errorf("DroppedLate = %d, want 1", n)
	}
	if _, _, err := s.Device(session.Address{Account: "a", Device: "waits"}); !errors.Is(err, ErrClosed) {
		t.Errorf("Device after Close: %v", err)
	}
	if _, err := s.Account("a", 1); !errors.Is(err, ErrClosed) {
		t.Errorf("Account after Close: %v", err)
	}
	if err := s.Flush(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("Flush after Close: %v", err)
	}
	c.advance(time.Hour)
	s = mustOpen(t, testConfig("d"), c.now, fs)
	rec := mustDevice(t, s, "a", "waits")
	if rec.ClosedMS != closedMS || rec.CloseCode != 1006 || rec.SeenMS != closedMS || rec.UserAgent != "ua" {
		t.Errorf("a session left open by Close reads as %+v, want closed at %d", rec, closedMS)
	}
}

func TestWriterCommitsByItself(t *testing.T) {
	cfg := testConfig("d")
	cfg.LossWindow = 2 * time.Millisecond
	s := mustOpen(t, cfg, newClock().now, vfs.NewMem())
	for n := uint64(1); n <= 3; n++ { // three times through the empty journal
		s.Opened(newSession("a", "d", n, 1_800_000_000_000), "", "", nil)
		eventually(t, "a commit", func() bool { return s.Stats().Committed == n })
	}
	if got := mustDevice(t, s, "a", "d").Session; got != "n1.1.3" {
		t.Errorf("session %s", got)
	}
}

func TestQuietTimeGivesMemoryBack(t *testing.T) {
	cfg := testConfig("d")
	cfg.LossWindow, cfg.QuietFlushAfter, cfg.QuietFlushBytes = 2*time.Millisecond, 100*time.Millisecond, 1000
	s := mustOpen(t, cfg, newClock().now, vfs.NewMem())
	for n := range uint64(5000) {
		s.Opened(newSession("a", fmt.Sprint("d", n), n, 1_800_000_000_000), "some user agent", "", nil)
	}
	eventually(t, "the flush", func() bool {
		st := s.Stats()
		s.journal.mu.Lock()
		defer s.journal.mu.Unlock()
		return st.Committed == 5000 && st.QuietFlushes > 0 && len(s.journal.free) <= 2 && s.journal.held == 0
	})
}

func TestOpenErrorsSayWhatToDo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	used := t.TempDir()
	s, err := Open(testConfig(used), "n1", quiet, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	damaged := t.TempDir()
	d, err := Open(testConfig(damaged), "n1", quiet, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	damagedMail := t.TempDir()
	if d, err = Open(testConfig(damagedMail), "n1", quiet, time.Now); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	manifests, _ := filepath.Glob(filepath.Join(damaged, "MANIFEST-*"))
	mailManifests, _ := filepath.Glob(filepath.Join(damagedMail, "mail", "MANIFEST-*"))
	for _, m := range append(manifests, mailManifests...) {
		if err := os.WriteFile(m, []byte("this is not a manifest, it only looks like one from afar"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ name, dir, node, want string }{
		{"no directory", "", "n1", "directory is missing"},
		{"bad node", t.TempDir(), "N 1", "node id"},
		{"a file", file, "n1", file + " is a file, not a directory; name a directory"},
		{"below a file", filepath.Join(file, "x"), "n1", filepath.Join(file, "x")},
		{"in use here", used, "n1", used + " is already open in this process"},
		{"damaged", damaged, "n1", "the records in " + damaged + " are damaged"},
		{"damaged messages", damagedMail, "n1", filepath.Join(damagedMail, "mail") + " are damaged"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Open(testConfig(tt.dir), tt.node, quiet, time.Now)
			if err == nil {
				s.Close()
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q lacks %q", err, tt.want)
			}
		})
	}
}

func TestValidateNamesWhatIsWrong(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Fatalf("the defaults: %v", err)
	}
	for name, change := range map[string]func(*Config){
		"directory":         func(c *Config) { c.Directory = "" },
		"loss_window":       func(c *Config) { c.LossWindow = 0 },
		"retention":         func(c *Config) { c.Retention = 0 },
		"journal_bytes_max": func(c *Config) { c.JournalBytesMax = 0 },
		"cache_bytes":       func(c *Config) { c.CacheBytes = c.MemTableBytes },
		"open_files_max":    func(c *Config) { c.OpenFilesMax = 0 },
		"stall_after":       func(c *Config) { c.LossWindow, c.StallAfter = time.Second, time.Second },
		"quiet_flush_after": func(c *Config) { c.LossWindow, c.QuietFlushAfter = time.Second, time.Second },
	} {
		c := Default()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	var zero Config
	if err := zero.Validate(); strings.Count(fmt.Sprint(err), "\n") < 15 {
		t.Errorf("the zero Config has only these faults: %v", err)
	}
}

func TestMetricsAreExported(t *testing.T) {
	s := mustOpen(t, testConfig("d"), newClock().now, vfs.NewMem())
	s.Opened(newSession("a", "d", 1, 1), "", "", nil)
	mustFlush(t, s)
	var b strings.Builder
	s.Metrics(&b)
	for _, want := range []string{"roost_store_epoch 1", "roost_store_healthy 1", "roost_store_committed_events_total 1",
		`roost_store_dropped_total{reason="journal_full"} 0`, `roost_store_commit_seconds_bucket{le="+Inf"} 1`} {
		if !strings.Contains(b.String(), want+"\n") {
			t.Errorf("no %q in:\n%s", want, b.String())
		}
	}
}

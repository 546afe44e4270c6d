package store

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/roostpush/roost/session"
)

// childEnv names the child that this binary plays when a test starts it again.
const childEnv = "ROOST_STORE_TEST_CHILD"

var children = map[string]func(){}

func TestMain(m *testing.M) {
	if child := children[os.Getenv(childEnv)]; child != nil {
		child()
		return
	}
	for _, arg := range os.Args {
		if strings.HasPrefix(arg, "-test.fuzz") && !strings.HasPrefix(arg, "-test.fuzzcachedir") {
			os.Exit(m.Run()) // the fuzzer's own goroutines are no leak
		}
	}
	goleak.VerifyTestMain(m)
}

// testConfig commits only when asked to: by Flush, by Close, or by a test that
// sets a shorter window.
func testConfig(dir string) Config {
	c := Default()
	c.Directory = dir
	c.LossWindow = time.Minute
	c.HeartbeatInterval = 10 * time.Minute
	c.SweepInterval = 24 * time.Hour
	c.SweepPause = time.Millisecond
	c.QuietFlushAfter = time.Hour
	c.StallAfter = 10 * time.Minute
	c.DiskRetryInterval = time.Millisecond
	return c
}

var quiet = slog.New(slog.DiscardHandler)

// clock is a wall clock that tests move.
type clock struct{ ms atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ms.Store(1_800_000_000_000)
	return c
}

func (c *clock) now() time.Time          { return time.UnixMilli(c.ms.Load()) }
func (c *clock) advance(d time.Duration) { c.ms.Add(d.Milliseconds()) }

func mustOpen(t testing.TB, cfg Config, now func() time.Time, fs vfs.FS) *Store {
	t.Helper()
	s, err := open(cfg, "n1", quiet, now, fs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func mustFlush(t testing.TB, s *Store) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
}

func newSession(account, device string, number uint64, openedMS int64) *session.Session {
	sess := session.New(account, device)
	sess.Number, sess.OpenedMS = number, openedMS
	return sess
}

func mustDevice(t testing.TB, s *Store, account, device string) session.Record {
	t.Helper()
	rec, ok, err := s.Device(session.Address{Account: account, Device: device})
	if err != nil || !ok {
		t.Fatalf("Device(%s/%s): ok %v, error %v", account, device, ok, err)
	}
	return rec
}

// eventually waits for a condition that another goroutine brings about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

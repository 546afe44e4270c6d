package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/roostpush/roost/session"
)

// faultFS lets writes fail with an errno while one is set.
type faultFS struct {
	vfs.FS
	errno  atomic.Uintptr // writes and creations
	syncNo atomic.Uintptr // syncs
}

func check(errno *atomic.Uintptr) error {
	if e := errno.Load(); e != 0 {
		return fmt.Errorf("fault: %w", syscall.Errno(e))
	}
	return nil
}

func (fs *faultFS) wrap(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &faultFile{File: f, fs: fs}, nil
}

func (fs *faultFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := check(&fs.errno); err != nil {
		return nil, err
	}
	return fs.wrap(fs.FS.Create(name, c))
}

func (fs *faultFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := check(&fs.errno); err != nil {
		return nil, err
	}
	return fs.wrap(fs.FS.ReuseForWrite(oldname, newname, c))
}

func (fs *faultFS) Rename(oldname, newname string) error {
	if err := check(&fs.errno); err != nil {
		return err
	}
	return fs.FS.Rename(oldname, newname)
}

type faultFile struct {
	vfs.File
	fs *faultFS
}

// Write takes half of what it is given before it fails, as a full disk does.
func (f *faultFile) Write(p []byte) (int, error) {
	if err := check(&f.fs.errno); err != nil {
		n, _ := f.File.Write(p[:len(p)/2])
		return n, err
	}
	return f.File.Write(p)
}

func (f *faultFile) Sync() error {
	if err := check(&f.fs.syncNo); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *faultFile) SyncData() error { return f.Sync() }

// liveMap is a registry.
type liveMap struct {
	mu   sync.Mutex
	open map[session.Address]*session.Session
}

func (l *liveMap) Each(emit func(*session.Session)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, sess := range l.open {
		emit(sess)
	}
}

func (l *liveMap) Number(a session.Address) (uint64, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if sess := l.open[a]; sess != nil {
		return sess.Number, true
	}
	return 0, false
}

// set opens a session; nil closes it. It returns the one before.
func (l *liveMap) set(a session.Address, sess *session.Session) (before *session.Session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before = l.open[a]
	if delete(l.open, a); sess != nil {
		l.open[a] = sess
	}
	return before
}

// fullDisk drives a store into a full disk and out of it again: fill and empty
// change the disk.
func fullDisk(t *testing.T, cfg Config, fs vfs.FS, fill, empty func()) {
	cfg.LossWindow = 2 * time.Millisecond
	cfg.JournalBytesMax = 4 * journalChunkBytes
	cfg.SweepEntriesMax = 500
	s := mustOpen(t, cfg, time.Now, fs)
	live := &liveMap{open: map[session.Address]*session.Session{}}
	s.ResyncWith(live)
	number := uint64(0)
	opened := func(device string) *session.Session {
		number++
		sess := newSession("a", device, number, time.Now().UnixMilli())
		live.set(sess.Address, sess)
		s.Opened(sess, "user agent "+device, "127.0.0.1:1", nil)
		return sess
	}
	closed := func(device string) {
		a := session.Address{Account: "a", Device: device}
		s.Closed(live.set(a, nil), time.Now().UnixMilli(), 1000)
	}
	for i := range 100 {
		opened(fmt.Sprint("early", i))
	}
	mustFlush(t, s)
	if err := s.Health(); err != nil {
		t.Fatalf("Health before: %v", err)
	}

	fill()
	for i := 0; s.Stats().DroppedFull == 0; i++ {
		opened(fmt.Sprint("full", i))
		if i > 100_000 {
			t.Fatal("nothing was dropped although the disk takes nothing")
		}
	}
	lost := fmt.Sprint("full", int(number)-100-1)
	for i := range 50 {
		closed(fmt.Sprint("early", i)) // dropped, too
	}
	// The journal can be full for a moment, before the writer meets the full disk.
	eventually(t, "Health that names the full disk", func() bool {
		opened("more")
		err := s.Health()
		return err != nil && strings.Contains(err.Error(), "no space left on device")
	})
	health := s.Health().Error()
	for _, want := range []string{cfg.Directory, "waiting to", "by itself"} {
		if !strings.Contains(health, want) {
			t.Errorf("Health %q lacks %q", health, want)
		}
	}
	if n := s.journalBytes(); n > cfg.JournalBytesMax {
		t.Errorf("%d bytes wait, at most %d may", n, cfg.JournalBytesMax)
	}
	if rec := mustDevice(t, s, "a", "early7"); rec.UserAgent != "user agent early7" {
		t.Errorf("reading on a full disk: %+v", rec)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Flush(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Flush on a full disk: %v", err)
	}

	empty()
	eventually(t, "Health is well again", func() bool { return s.Health() == nil })
	opened("after")
	eventually(t, "a resync", func() bool {
		mustFlush(t, s) // each commit is a chance to notice that events were dropped
		return s.Stats().Resyncs > 0 && !s.dropsSince()
	})
	mustFlush(t, s)
	for a, sess := range live.open {
		rec := mustDevice(t, s, a.Account, a.Device)
		if !rec.Online() || rec.OpenedMS != sess.OpenedMS {
			t.Fatalf("%s is connected, its record says %+v", a, rec)
		}
	}
	for i := range 50 {
		if rec := mustDevice(t, s, "a", fmt.Sprint("early", i)); rec.Online() {
			t.Fatalf("early%d is gone, its record says it is connected", i)
		}
	}
	if rec := mustDevice(t, s, "a", lost); rec.UserAgent != "" {
		t.Errorf("%s was dropped, so nobody can know its user agent: %+v", lost, rec)
	}
	if rec := mustDevice(t, s, "a", "early77"); rec.UserAgent != "user agent early77" {
		t.Errorf("the resync forgot what was known: %+v", rec)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	// And nothing on disk is the worse for it.
	s = mustOpen(t, cfg, time.Now, fs)
	if rec := mustDevice(t, s, "a", "after"); rec.Online() || s.Epoch() != 2 {
		t.Errorf("after a restart: epoch %d, %+v", s.Epoch(), rec)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestFullDiskInMemory(t *testing.T) {
	fs := &faultFS{FS: vfs.NewMem()}
	fullDisk(t, testConfig("d"), fs,
		func() { fs.errno.Store(uintptr(syscall.ENOSPC)) }, func() { fs.errno.Store(0) })
}

func TestFullDiskOnTmpfs(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=16m"); err != nil {
		t.Skipf("NOT TESTED HERE: no tmpfs could be mounted (%v; it needs root): only the in-memory variant ran", err)
	}
	defer func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	}()
	ballast := filepath.Join(dir, "ballast")
	fill := func() {
		f, err := os.Create(ballast)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for size := 1 << 20; size > 0; {
			if n, err := f.Write(make([]byte, size)); err != nil && n == 0 {
				if !errors.Is(err, syscall.ENOSPC) {
					t.Fatal(err)
				}
				size /= 2
			}
		}
	}
	// What Pebble preallocated for its log is there to be used; the events of
	// fullDisk are many more.
	fullDisk(t, testConfig(filepath.Join(dir, "data")), vfs.Default, fill, func() {
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
	})
	// A directory on a full disk is refused with the reason.
	fill()
	for size := int64(0); ; size++ { // leave not even room for a directory entry
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint("x", size)), make([]byte, 4096), 0o600); err != nil {
			break
		}
	}
	if s, err := Open(testConfig(filepath.Join(dir, "data")), "n1", quiet, time.Now); err == nil {
		_ = s.Close()
		t.Error("Open worked on a full disk")
	} else if !strings.Contains(err.Error(), "no space left") {
		t.Errorf("Open on a full disk: %v", err)
	}
	left, _ := filepath.Glob(filepath.Join(dir, "x*"))
	for _, name := range append(left, ballast) {
		_ = os.Remove(name)
	}
	// The opening that was left alone gets through now and closes again.
	eventually(t, "the directory is free", func() bool {
		s, err := Open(testConfig(filepath.Join(dir, "data")), "n1", quiet, time.Now)
		return err == nil && s.Close() == nil
	})
}

func TestCloseOnAFullDiskReturns(t *testing.T) {
	fs := &faultFS{FS: vfs.NewMem()}
	cfg := testConfig("d")
	cfg.CloseTimeout = 50 * time.Millisecond
	s := mustOpen(t, cfg, time.Now, fs)
	s.Opened(newSession("a", "d", 1, 1), "", "", nil)
	fs.errno.Store(uintptr(syscall.ENOSPC))
	if err := s.Close(); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("Close: %v", err)
	}
	fs.errno.Store(0) // goleak: what Close left behind ends when there is room
}

func init() { children["failing"] = failingChild }

// failingChild runs a store on a disk with I/O errors and prints what it shows.
// It is a process of its own since a failed store leaves goroutines behind.
func failingChild() {
	fs := &faultFS{FS: vfs.NewMem()}
	cfg := testConfig("d")
	cfg.LossWindow = 2 * time.Millisecond
	log := slog.New(slog.NewTextHandler(os.Stdout, nil))
	s, err := open(cfg, "n1", log, time.Now, fs)
	if err != nil {
		fmt.Println("open:", err)
		return
	}
	if os.Getenv("FAULT") == "sync" {
		fs.syncNo.Store(uintptr(syscall.ENOSPC)) // after a failed sync nothing can be believed
	} else {
		fs.errno.Store(uintptr(syscall.EIO))
	}
	s.Opened(newSession("a", "d", 1, 1), "", "", nil)
	<-s.health.failedC
	fmt.Println("health:", s.Health())
	fs.errno.Store(0)
	fs.syncNo.Store(0)
	s.Opened(newSession("a", "d", 2, 1), "", "", nil)
	fmt.Println("dropped:", s.Stats().DroppedLate)
	_, _, err = s.Device(session.Address{Account: "a", Device: "d"})
	fmt.Println("device:", errors.Is(err, ErrFailed))
	fmt.Println("flush:", errors.Is(s.Flush(context.Background()), ErrFailed))
	fmt.Println("close:", errors.Is(s.Close(), ErrFailed))
	s.Metrics(io.Discard)
	fmt.Println("alive")
}

func TestFailingDiskFailsTheStoreNotTheProcess(t *testing.T) {
	for fault, text := range map[string]string{"write": "input/output error", "sync": "no space left on device"} {
		t.Run(fault, func(t *testing.T) {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), childEnv+"=failing", "FAULT="+fault)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for _, want := range []string{"health: store: failed for good", text, "restart the node", "dropped: 1", "device: true", "flush: true", "close: true", "alive"} {
				if !strings.Contains(string(out), want) {
					t.Errorf("no %q in:\n%s", want, out)
				}
			}
			if n := strings.Count(string(out), "level=ERROR"); n != 1 {
				t.Errorf("%d errors in the log, want one:\n%s", n, out)
			}
		})
	}
}

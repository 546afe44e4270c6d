package store

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/roostpush/roost/session"
)

// told gathers what Post tells, whenever it does.
type told struct {
	posted int

	mu   sync.Mutex
	errs map[session.MessageID]error
}

func (l *told) post(s *Store, k session.Kept) {
	l.posted++
	s.Post([]session.Kept{k}, func(err error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if _, again := l.errs[k.Number]; again {
			panic(fmt.Sprint("told twice of ", k.Number))
		}
		l.errs[k.Number] = err
	})
}

// find returns the ids of which was told what ok accepts.
func (l *told) find(ok func(error) bool) (ids []session.MessageID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for n, err := range l.errs {
		if ok(err) {
			ids = append(ids, n)
		}
	}
	return ids
}

func fullDiskForMail(t *testing.T, cfg Config, fs vfs.FS, fill, empty func()) {
	cfg.MailQueueBytesMax, cfg.LossWindow, cfg.MailFreeBytesMin = 256<<10, 4*time.Millisecond, 1<<20
	s := mustOpen(t, cfg, time.Now, fs)
	l := told{errs: map[session.MessageID]error{}}
	number := uint64(0)
	payload := strings.Repeat("x", 1000)
	post := func() {
		number++
		l.post(s, keptFor(fmt.Sprint("a/d", number%5), 1, number, payload))
	}
	isNil := func(err error) bool { return err == nil }
	stalled := func(err error) bool { return errors.Is(err, ErrStalled) }
	for range 20 {
		post()
	}
	eventually(t, "the first ones are kept", func() bool { return len(l.find(isNil)) == 20 })
	fill()
	eventually(t, "a refusal that names the disk", func() bool { post(); return len(l.find(stalled)) > 0 })
	if len(l.find(func(err error) bool {
		return stalled(err) && strings.Contains(err.Error(), "mail_queue_bytes_max") && strings.Contains(err.Error(), "no space left")
	})) == 0 {
		t.Error("no refusal names the limit and what is wrong with the disk")
	}
	s.Settle(addressOf("a/d1"), keptFor("", 1, 1, "").ID, session.Acked, time.Now().UnixMilli())
	if list, err := s.Mail(nil, addressOf("a/d1"), session.ID{}, 1, 1<<20); err != nil || len(list) != 1 || list[0].Number != 6 {
		t.Errorf("reading on a full disk: %v, %v", list, err)
	}
	if st := s.MailStats(); st.QueueBytes > 2*cfg.MailQueueBytesMax {
		t.Errorf("%d bytes wait", st.QueueBytes)
	}
	empty()
	eventually(t, "everybody is told", func() bool { return len(l.find(func(error) bool { return true })) == l.posted })
	eventually(t, "a message is kept again", func() bool { number++; return postErr(s, keptFor("a/d0", 1, number, payload)) == nil })
	last := number
	kept := append(l.find(isNil), session.MessageID(last))
	check := func() {
		t.Helper()
		waits := map[session.MessageID]bool{}
		for i := range 5 {
			list, err := s.Mail(nil, addressOf(fmt.Sprint("a/d", i)), session.ID{}, 1<<20, 1<<30)
			if err != nil {
				t.Fatal(err)
			}
			for _, k := range list {
				waits[k.Number] = true
			}
		}
		if waits[1] || len(waits) != len(kept)-1 {
			t.Errorf("%d messages wait, %d were kept and one of them settled", len(waits), len(kept))
		}
		for _, n := range kept {
			if !waits[n] && n != 1 {
				t.Errorf("message %d was kept and is lost", n)
			}
		}
	}
	check()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, cfg, time.Now, fs)
	check()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestMailOnAFullDiskInMemory(t *testing.T) {
	fs := &faultFS{FS: vfs.NewMem()}
	fullDiskForMail(t, testConfig("d"), fs,
		func() { fs.errno.Store(uintptr(syscall.ENOSPC)) }, func() { fs.errno.Store(0) })
}

// hangFS lets syncs hang while they are held.
type hangFS struct {
	vfs.FS
	held sync.RWMutex
}

func (fs *hangFS) wrap(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &hangFile{File: f, fs: fs}, nil
}

func (fs *hangFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return fs.wrap(fs.FS.Create(name, c))
}

func (fs *hangFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return fs.wrap(fs.FS.ReuseForWrite(oldname, newname, c))
}

type hangFile struct {
	vfs.File
	fs *hangFS
}

func (f *hangFile) Sync() error {
	f.fs.held.RLock()
	defer f.fs.held.RUnlock()
	return f.File.Sync()
}

func (f *hangFile) SyncData() error { return f.Sync() }

func TestMailOnADiskThatHangs(t *testing.T) {
	fs := &hangFS{FS: vfs.NewMem()}
	cfg := testConfig("d")
	cfg.LossWindow, cfg.QuietFlushAfter, cfg.StallAfter = 2*time.Millisecond, time.Hour, 100*time.Millisecond
	cfg.MailQueueBytesMax = 64 << 10
	s := mustOpen(t, cfg, time.Now, fs)
	mustPost(t, s, keptFor("a/d", 1, 1, "before"))
	fs.held.Lock()
	l := told{errs: map[session.MessageID]error{}}
	l.post(s, keptFor("a/d", 1, 2, "waits"))
	n := uint64(2)
	payload := strings.Repeat("x", 4000)
	eventually(t, "the queue is full", func() bool {
		n++
		l.post(s, keptFor("a/e", 1, n, payload))
		return len(l.find(func(err error) bool { return errors.Is(err, ErrFull) || errors.Is(err, ErrStalled) })) > 0
	})
	var err error
	eventually(t, "a refusal because of the disk", func() bool {
		n++
		err = postNow(s, keptFor("a/f", 1, n, "x"))
		return errors.Is(err, ErrStalled)
	})
	if health := s.Health(); health == nil || !strings.Contains(err.Error(), "stall_after (100ms)") {
		t.Errorf("refused with %v, Health %v", err, health)
	}
	fs.held.Unlock()
	eventually(t, "what waited is kept", func() bool {
		return len(l.find(func(error) bool { return true })) == l.posted && len(l.find(func(err error) bool { return err == nil })) > 1
	})
	eventually(t, "all is well", func() bool { n++; return postErr(s, keptFor("a/g", 1, n, "x")) == nil && s.Health() == nil })
	if got := mailOf(t, s, "a/d", session.ID{}, 9, 1<<20); got != "before waits" {
		t.Errorf("mail %q", got)
	}
}

// postNow returns what Post tells before it returns, nil when that is nothing yet.
func postNow(s *Store, k session.Kept) error {
	now := make(chan error, 1)
	s.Post([]session.Kept{k}, func(err error) { now <- err })
	select {
	case err := <-now:
		return err
	default:
		return nil
	}
}

func init() { children["failingmail"] = failingMailChild }

// failingMailChild posts on a disk whose syncs fail, in a process of its own since a
// failed store leaves goroutines behind.
func failingMailChild() {
	fs := &faultFS{FS: vfs.NewMem()}
	s, err := open(testConfig("d"), "n1", slog.New(slog.DiscardHandler), time.Now, fs)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("well:", postErr(s, keptFor("a/d", 1, 1, "x")))
	fs.syncNo.Store(uintptr(syscall.EIO))
	fmt.Println("failing:", errors.Is(postErr(s, keptFor("a/d", 1, 2, "x")), ErrFailed))
	fmt.Println("failed:", errors.Is(postNow(s, keptFor("a/d", 1, 3, "x")), ErrFailed))
	s.Settle(addressOf("a/d"), keptFor("", 1, 1, "").ID, session.Acked, 1)
	_, err = s.Mail(nil, addressOf("a/d"), session.ID{}, 1, 1)
	fmt.Println("mail:", errors.Is(err, ErrFailed))
	_, _, err = s.Fates(session.ID{})
	fmt.Println("fates:", errors.Is(err, ErrFailed))
	fmt.Println("close:", errors.Is(s.Close(), ErrFailed))
	fmt.Println("alive")
}

func TestFailingDiskFailsPromisesNotTheProcess(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"=failingmail")
	out, err := cmd.Output()
	want := "well: <nil>\nfailing: true\nfailed: true\nmail: true\nfates: true\nclose: true\nalive\n"
	if err != nil || string(out) != want {
		t.Fatalf("%v\n%s\nwant\n%s", err, out, want)
	}
}

package store

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// disk is the file system that Pebble sees. It exists because Pebble v2.1.7 does
// not survive a failed write: a WAL record that does not go out panics with the
// commit mutex held (db.go:1000), a WAL that cannot be rotated panics with DB.mu
// unlocked twice, which no recover can stop (db.go:2822, 2835), and a manifest
// error calls Logger.Fatalf (version_set.go:671). So a failed write never
// reaches Pebble:
//
//   - no room, no descriptor, no memory: the operation waits here and is tried
//     again until it works. To Pebble the disk is slow; when room returns,
//     everything goes on by itself, without a reopen;
//   - any other error, and any error of a sync (after one, the kernel may have
//     dropped the pages, so that a second sync would succeed and lie): the store
//     has failed for good, and the operation never returns.
//
// Both happen on Pebble's goroutines and on the store's writer only, never on
// an event loop. While Open runs, errors of the second kind are Pebble's to report.
type disk struct {
	vfs.FS
	retry  time.Duration
	opened atomic.Bool
	breath atomic.Pointer[breath] // nil before the store is open and once it is closed
	onFail func(reason string)

	mu       sync.Mutex
	ops      map[*diskOp]struct{} // those in progress
	waits    uint64               // operations that ever had to wait
	troubled chan struct{}        // closed by the first wait or failure; Open looks at it
	trouble  sync.Once
}

// diskOp is one operation in progress.
type diskOp struct {
	what, path string
	since      time.Time
	waitingFor error // why it waits; nil: it is with the kernel
}

func (o *diskOp) String() string {
	s := fmt.Sprintf("%s %s for %v", o.what, o.path, time.Since(o.since).Round(time.Millisecond))
	if o.waitingFor != nil {
		s += ": " + o.waitingFor.Error()
	}
	return s
}

func newDisk(fs vfs.FS, retry time.Duration, onFail func(reason string)) *disk {
	return &disk{FS: fs, retry: retry, onFail: onFail, ops: make(map[*diskOp]struct{}), troubled: make(chan struct{})}
}

// passing reports whether an error goes away when somebody frees something.
func passing(err error) bool {
	for _, e := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EAGAIN, syscall.EINTR} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// do runs an operation until it works; see disk.
func (d *disk) do(what, path string, syncs bool, f func() error) error {
	op := &diskOp{what: what, path: path, since: time.Now()}
	d.mu.Lock()
	d.ops[op] = struct{}{}
	d.mu.Unlock()
	for {
		err := f()
		if err == nil || !d.opened.Load() && !passing(err) {
			d.mu.Lock()
			delete(d.ops, op)
			d.mu.Unlock()
			return err
		}
		if syncs || !passing(err) {
			d.fail(fmt.Sprintf("%s %s: %v", what, path, err))
		}
		d.mu.Lock()
		if op.waitingFor == nil {
			d.waits++
		}
		op.waitingFor = err
		d.mu.Unlock()
		d.trouble.Do(func() { close(d.troubled) })
		time.Sleep(d.retry)
	}
}

// fail ends the store and never returns: Pebble's callers assume either that a
// write worked or that the process is over.
func (d *disk) fail(reason string) {
	d.onFail(reason)
	d.trouble.Do(func() { close(d.troubled) })
	select {}
}

// slowest returns what is wrong: an operation that waits for room, else the one
// that has been with the kernel for longer than after; "" when neither exists.
func (d *disk) slowest(after time.Duration) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var worst *diskOp
	for op := range d.ops {
		if op.waitingFor == nil && time.Since(op.since) < after {
			continue
		}
		if worst == nil || (op.waitingFor != nil) && (worst.waitingFor == nil) || (op.waitingFor != nil) == (worst.waitingFor != nil) && op.since.Before(worst.since) {
			worst = op
		}
	}
	if worst == nil {
		return ""
	}
	if worst.waitingFor != nil {
		return "waiting to " + worst.String() + "; the store goes on by itself when that is free again"
	}
	return "slow disk: in " + worst.String()
}

func (d *disk) waited() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.waits
}

// logCategory is what Pebble says that it writes when it is its log.
const logCategory vfs.DiskWriteCategory = "pebble-wal"

func (d *disk) open(what, name string, c vfs.DiskWriteCategory, open func() (vfs.File, error)) (vfs.File, error) {
	var file vfs.File
	err := d.do(what, name, false, func() (err error) {
		file, err = open()
		return err
	})
	if err != nil {
		return nil, err
	}
	return &diskFile{File: file, disk: d, name: name, urgent: c == logCategory}, nil
}

// Create makes a file, waiting for room.
func (d *disk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return d.open("create", name, c, func() (vfs.File, error) { return d.FS.Create(name, c) })
}

// OpenReadWrite opens a file for writing, waiting for room.
func (d *disk) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return d.open("open", name, c, func() (vfs.File, error) { return d.FS.OpenReadWrite(name, c, opts...) })
}

// ReuseForWrite renames and opens an old file. A retry may find it renamed
// already, and then makes the file anew, as the contract of vfs.FS allows.
func (d *disk) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return d.open("reuse", newname, c, func() (vfs.File, error) {
		file, err := d.FS.ReuseForWrite(oldname, newname, c)
		if errors.Is(err, os.ErrNotExist) {
			return d.FS.Create(newname, c)
		}
		return file, err
	})
}

// OpenDir opens a directory for syncing.
func (d *disk) OpenDir(name string) (vfs.File, error) {
	return d.open("open", name, vfs.WriteCategoryUnspecified, func() (vfs.File, error) { return d.FS.OpenDir(name) })
}

// Rename renames a file, waiting for room.
func (d *disk) Rename(oldname, newname string) error {
	return d.do("rename", newname, false, func() error { return d.FS.Rename(oldname, newname) })
}

// Link links a file, waiting for room.
func (d *disk) Link(oldname, newname string) error {
	return d.do("link", newname, false, func() error { return d.FS.Link(oldname, newname) })
}

// Unwrap returns the file system below.
func (d *disk) Unwrap() vfs.FS { return d.FS }

// diskFile is a file whose writes wait for room.
type diskFile struct {
	vfs.File
	disk   *disk
	name   string
	urgent bool // whoever is promised something waits for what is written to it
}

// breathe lets others run. Flushes and compactions work for tens of milliseconds between two
// waits, and Go takes a processor from a goroutine after ten: on a node with few processors,
// messages would wait for tables.
func (d *disk) breathe() {
	if b := d.breath.Load(); b != nil {
		b.take()
		return
	}
	runtime.Gosched()
}

// Write also lets others run: tables are written a block of some KiB at a time, which takes
// a fraction of a millisecond to make.
func (f *diskFile) Write(p []byte) (n int, err error) {
	if f.urgent {
		runtime.Gosched()
	} else {
		f.disk.breathe()
	}
	err = f.disk.do("write", f.name, false, func() error {
		m, err := f.File.Write(p[n:])
		n += m
		return err
	})
	return n, err
}

func (f *diskFile) WriteAt(p []byte, off int64) (n int, err error) {
	err = f.disk.do("write", f.name, false, func() error {
		m, err := f.File.WriteAt(p[n:], off+int64(n))
		n += m
		return err
	})
	return n, err
}

// Preallocate is an optimisation; the write that needs the room waits for it.
func (f *diskFile) Preallocate(off, n int64) error {
	_ = f.File.Preallocate(off, n)
	return nil
}

func (f *diskFile) Sync() error {
	return f.disk.do("sync", f.name, true, f.File.Sync)
}

func (f *diskFile) SyncData() error {
	return f.disk.do("sync", f.name, true, f.File.SyncData)
}

func (f *diskFile) SyncTo(length int64) (full bool, err error) {
	err = f.disk.do("sync", f.name, true, func() (err error) {
		full, err = f.File.SyncTo(length)
		return err
	})
	return full, err
}

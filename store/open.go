package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/roostpush/roost/session"
)

// formatVersion is pinned: raising it makes the directory unreadable to older
// releases, so that has to be a decision and not a by-product of an upgrade.
const formatVersion = pebble.FormatValueSeparation

// openDirectory prepares the directory, opens Pebble in it and takes the epoch.
// It runs on a goroutine of its own, see open.
func (s *Store) openDirectory(fs vfs.FS) (err error) {
	dir := s.cfg.Directory
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("store: opening %s: pebble panicked: %v", dir, r)
		}
	}()
	if err := s.disk.MkdirAll(dir, 0o750); err != nil {
		if info, statErr := fs.Stat(dir); statErr == nil && !info.IsDir() {
			return fmt.Errorf("store: %s is a file, not a directory; name a directory", dir)
		}
		return fmt.Errorf("store: make %s: %w; create it, or name a directory that this user may write", dir, err)
	}
	if info, err := fs.Stat(dir); err == nil && !info.IsDir() {
		return fmt.Errorf("store: %s is a file, not a directory; name a directory", dir)
	}
	lock, err := pebble.LockDirectory(dir, s.disk)
	if err != nil {
		return lockError(dir, err)
	}
	// Both at one time: each replays a log and waits for the disk several times.
	mailDir := fs.PathJoin(dir, mailDirectory)
	mail := make(chan error, 1)
	go func() {
		mail <- mailOpenError(mailDir, s.openDB(&s.mail.db, mailDir, s.mailOptions()))
	}()
	err = openError(dir, s.openDB(&s.db, dir, s.options(lock, &s.health.records,
		"stop the node and move the directory away, but for "+mailDirectory+" in it: records are soft state")))
	s.lock = lock
	if err = errors.Join(err, <-mail); err != nil {
		return errors.Join(err, s.closeDirectory())
	}
	if err := s.load(); err != nil {
		return errors.Join(openError(dir, err), s.closeDirectory())
	}
	return nil
}

// openDB opens one of the two databases.
func (s *Store) openDB(db **pebble.DB, dir string, opts *pebble.Options) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("pebble panicked: %v", r)
		}
	}()
	*db, err = pebble.Open(dir, opts)
	return err
}

// lockError explains why the directory could not be locked.
func lockError(dir string, err error) error {
	switch {
	case errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) && lockHolder(dir) > 0:
		return fmt.Errorf("store: %s is in use by process %d; stop it, or name another directory", dir, lockHolder(dir))
	case errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.EROFS):
		return fmt.Errorf("store: %s may not be written by user %d: %w; change its owner or name another directory", dir, os.Getuid(), err)
	case err.Error() == "lock held by current process":
		return fmt.Errorf("store: %s is already open in this process", dir)
	}
	return fmt.Errorf("store: lock %s: %w", dir, err)
}

// lockHolder returns the process that holds the directory's lock, 0 if unknown.
func lockHolder(dir string) int32 {
	f, err := os.OpenFile(dir+"/LOCK", os.O_RDWR, 0)
	if err != nil {
		return 0
	}
	defer f.Close()
	lk := syscall.Flock_t{Type: syscall.F_WRLCK}
	if err := syscall.FcntlFlock(f.Fd(), syscall.F_GETLK, &lk); err != nil || lk.Type == syscall.F_UNLCK {
		return 0
	}
	return lk.Pid
}

func openError(dir string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("store: open %s: %w; its files must belong to user %d", dir, err, os.Getuid())
	}
	if pebble.IsCorruptionError(err) || errors.Is(err, os.ErrNotExist) || errors.Is(err, pebble.ErrDBNotPristine) {
		return fmt.Errorf("store: the records in %s are damaged: %w; move the directory away and start again: records are soft state and come back as devices connect", dir, err)
	}
	return fmt.Errorf("store: open %s: %w", dir, err)
}

func mailOpenError(dir string, err error) error {
	if err == nil {
		return nil
	}
	if pebble.IsCorruptionError(err) || errors.Is(err, os.ErrNotExist) || errors.Is(err, pebble.ErrDBNotPristine) {
		return fmt.Errorf("store: the messages in %s are damaged: %w; bring the directory back from a copy, or move it away and start again, which forgets every message that waits for a device", dir, err)
	}
	return openError(dir, err)
}

// mailDirectory is where messages are, below the records. They have a database of their
// own: its write buffers are larger, since at thousands of messages a second each that is
// full costs a table, and come into being only where messages are kept; a rush of them
// delays no record; and records, which are soft state, can be moved away without them.
const mailDirectory = "mail"

// mailOptions are the ones of records but for that.
func (s *Store) mailOptions() *pebble.Options {
	opts := s.options(nil, &s.health.messages, "it holds messages that wait: stop the node and bring the directory back from a copy")
	opts.Merger = nil
	opts.Experimental.CompactionScheduler = s.compacting[1]
	opts.MemTableSize = uint64(s.cfg.MailMemTableBytes)
	opts.L0CompactionThreshold = 8 // of larger tables
	opts.CacheSize = int64(s.cfg.MailCacheBytes)
	// A new table is read once, by the compaction that ends it: to press it costs more than its
	// bytes do. What stays is pressed.
	opts.Levels[0].Compression = func() *sstable.CompressionProfile { return sstable.NoCompression }
	opts.Levels[1].Compression = func() *sstable.CompressionProfile { return sstable.SnappyCompression }
	listener := *opts.EventListener
	// The commit in progress says how long messages are stalled.
	listener.WriteStallBegin = func(pebble.WriteStallBeginInfo) {
		s.counts.stalls.Add(1)
		go s.compacting[1].begin() // Pebble holds a mutex that it takes
	}
	listener.WriteStallEnd = func() {}
	opts.EventListener = &listener
	return opts
}

// options are chosen for few bytes of memory: see Config for the reasons.
func (s *Store) options(lock *pebble.Lock, t *trouble, repair string) *pebble.Options {
	log := &pebbleLog{log: s.log, fail: s.disk.fail}
	opts := &pebble.Options{
		FS:                          s.disk,
		Lock:                        lock,
		FormatMajorVersion:          formatVersion,
		Merger:                      merger,
		MemTableSize:                uint64(s.cfg.MemTableBytes),
		MemTableStopWritesThreshold: s.cfg.MemTablesMax,
		CacheSize:                   int64(s.cfg.CacheBytes),
		MaxOpenFiles:                s.cfg.OpenFilesMax,
		// Small write buffers make small tables; taking sixteen of them at once into
		// a small base level keeps rewriting low.
		L0CompactionThreshold:      16,
		L0StopWritesThreshold:      32,
		LBaseMaxBytes:              16 << 20,
		MaxManifestFileSize:        1 << 20,
		CompactionConcurrencyRange: func() (int, int) { return 1, 1 },
		BytesPerSync:               512 << 10,
		WALBytesPerSync:            512 << 10,
		Logger:                     log,
		EventListener:              s.listener(log, t, repair),
	}
	opts.Experimental.CompactionScheduler = s.compacting[0]
	opts.Levels[0].FilterPolicy = bloom.FilterPolicy(10) // most questions are about devices that have no record
	return opts
}

// load reads the epochs and takes the next one, synced.
func (s *Store) load() error {
	last, err := getUvarint(s.db, keyEpoch)
	if err != nil {
		return err
	}
	lastOfMail, err := getUvarint(s.mail.db, keyEpoch) // of ids that may be there, should the records be lost
	if err != nil {
		return err
	}
	last = max(last, lastOfMail)
	waiting, err := getUvarint(s.mail.db, keyMailCount)
	if err != nil {
		return err
	}
	m := &s.mail
	m.committed, m.filed, m.messages = int64(waiting), int64(waiting), int64(waiting)
	swept, err := getUvarint(s.db, keySwept)
	if err != nil {
		return err
	}
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{keyHeartbeat}, UpperBound: []byte{keyHeartbeat + 1}})
	if err != nil {
		return err
	}
	for it.First(); it.Valid(); it.Next() {
		if info, ok := parseEpochInfo(it.Value()); ok && len(it.Key()) == 9 {
			epoch := binary.BigEndian.Uint64(it.Key()[1:])
			s.epochs.set(session.Origin{Epoch: epoch}, info)
			s.epochs.set(session.Origin{Node: info.node, Epoch: epoch}, info)
			last = max(last, epoch)
		}
	}
	if err := it.Close(); err != nil {
		return err
	}
	s.above = uint64(s.epochs.newest())
	if err := s.loadForeign(); err != nil {
		return err
	}
	s.swept = uint32(swept)
	s.epoch = max(last+1, s.cfg.EpochMin)
	nowMS := s.now().UnixMilli()
	info := epochInfo{node: s.node, startedMS: nowMS, seenMS: nowMS, lives: true}
	s.epochs.set(session.Origin{Node: s.node, Epoch: s.epoch}, info)

	b := s.db.NewBatch()
	defer b.Close()
	if err := errors.Join(
		b.Set([]byte{keyEpoch}, binary.AppendUvarint(nil, s.epoch), nil),
		b.Set(appendHeartbeatKey(nil, s.epoch), appendEpochInfo(nil, info), nil),
	); err != nil {
		return err
	}
	if err := s.db.Apply(b, pebble.Sync); err != nil {
		return err
	}
	return s.mail.db.Set([]byte{keyEpoch}, binary.AppendUvarint(nil, s.epoch), pebble.Sync)
}

// loadForeign reads the heartbeats of other nodes.
func (s *Store) loadForeign() error {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{keyForeign}, UpperBound: []byte{keyForeign + 1}})
	if err != nil {
		return err
	}
	for it.First(); it.Valid(); it.Next() {
		o, ok := parseForeignKey(it.Key())
		if info, parsed := parseEpochInfo(it.Value()); ok && parsed {
			s.epochs.set(o, info)
		}
	}
	return it.Close()
}

func getUvarint(db *pebble.DB, key byte) (uint64, error) {
	value, closer, err := db.Get([]byte{key})
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer closer.Close()
	v, n := binary.Uvarint(value)
	if n <= 0 {
		return 0, fmt.Errorf("key %q holds %x, not a number", key, value)
	}
	return v, nil
}

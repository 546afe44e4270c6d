package auth

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// keysFile is what is known of the keys file, to see when it changes.
type keysFile struct {
	info   os.FileInfo // of the version looked at last, good or not; nil: could not be opened
	digest [sha256.Size]byte
	// unsettled says that the file was written just before it was read: a second write
	// within the same tick of the file system's clock would not show in info.
	unsettled bool
	complaint string // what was logged last, so that it is logged once
}

// settleTime is longer than the tick of any file system's clock that is in use.
const settleTime = 2 * time.Second

// watch looks at the keys file every ReloadInterval until Close.
func (v *Verifier) watch() {
	tick := time.NewTicker(v.cfg.ReloadInterval)
	defer tick.Stop()
	for {
		select {
		case <-v.stop:
			return
		case <-tick.C:
			v.poll()
			v.ring.Load().cache.sweep(v.now().UnixMilli())
		}
	}
}

// poll loads the keys file if it has changed. A file that cannot be used leaves the
// old keys in place and is logged once.
func (v *Verifier) poll() {
	info, err := os.Stat(v.cfg.KeysFile)
	if err == nil && v.file.same(info) && !v.file.unsettled {
		return
	}
	before := v.ring.Load()
	if err == nil {
		err = v.load()
	} else {
		v.file.info = nil // whatever comes back is looked at
	}
	switch {
	case err != nil && err.Error() != v.file.complaint:
		v.file.complaint = err.Error()
		v.failures.Add(1)
		v.log.Error("keys file cannot be used, the old keys stay", "file", v.cfg.KeysFile, "reason", err)
	case err == nil && before != v.ring.Load():
		v.file.complaint = ""
		v.reloads.Add(1)
		v.log.Info("keys reloaded", "file", v.cfg.KeysFile, "keys", v.ring.Load().count())
	case err == nil && v.file.complaint != "":
		v.file.complaint = ""
		v.log.Info("keys file is what it was", "file", v.cfg.KeysFile)
	}
}

// same reports whether info is of the version that was looked at.
func (f *keysFile) same(info os.FileInfo) bool {
	return f.info != nil && os.SameFile(f.info, info) && f.info.ModTime().Equal(info.ModTime()) && f.info.Size() == info.Size()
}

// load reads the keys file and, if it is good and new, replaces the keyring, and with
// it the cache.
func (v *Verifier) load() error {
	info, text, err := readBounded(v.cfg.KeysFile, v.cfg.KeysFileBytesMax)
	if info != nil {
		age := v.now().Sub(info.ModTime())
		v.file.info, v.file.unsettled = info, age < settleTime
	}
	if err != nil {
		return err
	}
	digest := sha256.Sum256(text)
	if v.ring.Load() != nil && digest == v.file.digest {
		return nil
	}
	parsed, err := parseKeys(text, &v.cfg)
	if err != nil {
		return err
	}
	v.file.digest = digest
	for _, remark := range parsed.remarks {
		v.log.Warn("keys file: "+remark, "file", v.cfg.KeysFile)
	}
	ring := newKeyring(parsed.keys, &v.cfg)
	if len(ring.keys[hs256]) > 0 && info.Mode().Perm()&0o007 != 0 {
		v.log.Warn("keys file holds a secret and is open to every user", "file", v.cfg.KeysFile, "mode", info.Mode().Perm())
	}
	v.ring.Store(ring)
	return nil
}

// readBounded reads a regular file of at most so many bytes. info is set if the file
// was found.
func readBounded(path string, most int) (info os.FileInfo, text []byte, err error) {
	// Looked at before it is opened: opening a pipe would wait for its writer.
	if info, err = os.Stat(path); err != nil {
		return nil, nil, unwrapPath(err)
	}
	if !info.Mode().IsRegular() {
		return info, nil, errors.New("it is not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return info, nil, unwrapPath(err)
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return nil, nil, unwrapPath(err)
	}
	if text, err = io.ReadAll(io.LimitReader(f, int64(most)+1)); err != nil {
		return info, nil, unwrapPath(err)
	}
	if len(text) > most {
		return info, nil, fmt.Errorf("it has more than %d bytes", most)
	}
	return info, text, nil
}

// unwrapPath drops the path from an error, which every message here names already.
func unwrapPath(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return fmt.Errorf("%s: %w", p.Op, p.Err)
	}
	return err
}

package store

import (
	"encoding/binary"
	"sync"

	"github.com/roostpush/roost/session"
)

// epochInfo is what a heartbeat key says of one epoch of a node: uvarint startedMS,
// uvarint seenMS, and for this node's own its name, which may have been another then.
type epochInfo struct {
	node      string
	startedMS int64
	seenMS    int64 // the newest heartbeat
	lives     bool  // the process is there now; never on disk
	unsaved   bool  // seenMS is newer than on disk
}

func appendEpochInfo(dst []byte, e epochInfo) []byte {
	dst = binary.AppendUvarint(dst, uint64(e.startedMS))
	dst = binary.AppendUvarint(dst, uint64(e.seenMS))
	return append(dst, e.node...)
}

func parseEpochInfo(value []byte) (e epochInfo, ok bool) {
	r := reader{rest: value}
	e.startedMS, e.seenMS = int64(r.uvarint()), int64(r.uvarint())
	e.node = string(r.rest)
	return e, !r.bad
}

// epochs knows every epoch that a record may refer to, by node and number: those of
// this node under the name that it had, and under none, as records have them that were
// written before there were nodes in them. Any goroutine may ask.
type epochs struct {
	mu   sync.RWMutex
	info map[session.Origin]epochInfo
}

func (e *epochs) get(o session.Origin) epochInfo {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.info[o]
}

// of returns the epoch that facts are of.
func (e *epochs) of(f *facts) epochInfo {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.info[session.Origin{Node: string(f.node), Epoch: f.epoch}]
}

func (e *epochs) set(o session.Origin, info epochInfo) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.info[o] = info
}

// saw notes that a process lived at seenMS.
func (e *epochs) saw(o session.Origin, seenMS int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if info := e.info[o]; seenMS > info.seenMS {
		info.seenMS, info.unsaved = seenMS, true
		e.info[o] = info
	}
}

// replace says which processes of other nodes live now.
func (e *epochs) replace(living []session.Origin, self string, nowMS int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for o, info := range e.info {
		if o.Node != self && o.Node != "" && info.lives {
			info.lives = false
			e.info[o] = info
		}
	}
	for _, o := range living {
		info := e.info[o]
		info.lives, info.unsaved, info.seenMS = true, true, max(info.seenMS, nowMS)
		if info.startedMS == 0 {
			info.startedMS = nowMS
		}
		e.info[o] = info
	}
}

// beat notes that every process that lives is seen at nowMS and calls save for what is
// newer than on disk.
func (e *epochs) beat(nowMS int64, save func(session.Origin, epochInfo) error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for o, info := range e.info {
		if info.lives {
			info.seenMS = max(info.seenMS, nowMS)
		}
		if info.lives || info.unsaved {
			if err := save(o, info); err != nil {
				return err
			}
			info.unsaved = false
			e.info[o] = info
		}
	}
	return nil
}

// newest returns the last moment at which any epoch is known to have lived.
func (e *epochs) newest() (seenMS int64) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	for _, info := range e.info {
		seenMS = max(seenMS, info.seenMS)
	}
	return seenMS
}

// dropBefore forgets the epochs whose last heartbeat lies before seenMS, but
// never one that lives, and returns them.
func (e *epochs) dropBefore(seenMS int64) []session.Origin {
	e.mu.Lock()
	defer e.mu.Unlock()
	var dropped []session.Origin
	for o, info := range e.info {
		if !info.lives && info.seenMS < seenMS {
			dropped = append(dropped, o)
			delete(e.info, o)
		}
	}
	return dropped
}

// Living names the processes of other nodes that live now, whose open sessions are
// open. It replaces who was named before: sessions that another process left open read
// as closed at its last heartbeat. The slice is borrowed. Any goroutine may call it.
func (s *Store) Living(others []session.Origin) {
	s.shared.Store(true)
	s.epochs.replace(others, s.node, s.now().UnixMilli())
}

package store

import (
	"encoding/binary"
	"sync"
)

// epochInfo is what a heartbeat key says of one epoch: uvarint startedMS,
// uvarint seenMS, and the name of the node, which records therefore need not
// repeat.
type epochInfo struct {
	node      string
	startedMS int64
	seenMS    int64 // the newest heartbeat
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

// epochs knows every epoch that a record may refer to. Any goroutine may ask.
type epochs struct {
	mu   sync.RWMutex
	info map[uint64]epochInfo
}

func (e *epochs) get(epoch uint64) (epochInfo, bool) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	info, ok := e.info[epoch]
	return info, ok
}

func (e *epochs) set(epoch uint64, info epochInfo) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.info[epoch] = info
}

// dropBefore forgets the epochs whose last heartbeat lies before seenMS, but
// never the current one, and returns them.
func (e *epochs) dropBefore(seenMS int64, current uint64) []uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	var dropped []uint64
	for epoch, info := range e.info {
		if epoch != current && info.seenMS < seenMS {
			dropped = append(dropped, epoch)
			delete(e.info, epoch)
		}
	}
	return dropped
}

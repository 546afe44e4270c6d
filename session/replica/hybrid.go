package replica

import "sync/atomic"

// hybrid is the hybrid logical clock of decision 3 (Kulkarni et al., Logical Physical
// Clocks, 2014): the node's clock, or the newest version seen in any log if that is
// ahead. So a node's openings have ever higher versions, also above entries that it
// has seen and forgotten since, whose tombstones others may still have.
//
// A version further ahead than DriftMS is not taken over: one node with a senseless
// clock would drag everybody's along for ever. Above such an entry goes only who meets
// it in the table.
type hybrid struct{ newest atomic.Uint64 }

// saw takes notice of a version.
func (h *hybrid) saw(version uint64, nowMS, driftMS int64) {
	if version > uint64(max(nowMS+driftMS, 0)) {
		return
	}
	for {
		newest := h.newest.Load()
		if version <= newest || h.newest.CompareAndSwap(newest, version) {
			return
		}
	}
}

// read returns the time.
func (h *hybrid) read(nowMS int64) uint64 { return max(uint64(max(nowMS, 0)), h.newest.Load()) }

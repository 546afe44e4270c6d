package replica

import "github.com/roostpush/roost/session/wire"

// NextEpoch returns the epoch of a node that starts: above the one it persisted and above
// every one of it that its peers report. It is never a clock: a node whose disk was
// lost still gets a newer epoch as long as one peer it can ask remembers the last one. If
// none does, Ports.Outdated tells it later; but not if the new log has become longer than
// the old one by then. So a node without its disk should ask every member it can find.
func NextEpoch(persisted uint64, reported []wire.Head, self string) uint64 {
	newest := persisted
	for _, h := range reported {
		if h.Author.Node == self {
			newest = max(newest, h.Author.Epoch)
		}
	}
	return newest + 1
}

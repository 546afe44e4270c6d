package replica

// When the table is full (route.Config: EntriesMax, OwnEntries):
//
//   - What is in it stays true: closings, moves and the end of a node apply as ever.
//   - New entries of other nodes are refused and counted; the author is incomplete, and
//     says so to whoever asks where a device is (Lacks), since "nowhere" is no answer then.
//   - Own sessions have entries of their own, so displacement works in both directions.
//   - An incomplete log is not passed on to peers: they would take it for the whole.
//   - When devices leave, those that come take their places by the log alone. The ones
//     that were refused come in with their next connection, or before that with a
//     snapshot, which is loaded once there is room for it beside the set that it replaces.

// Crowded reports whether devices of other nodes may be connected that the table had no
// room for. It takes no lock.
func (r *Replica) Crowded() bool { return r.crowded.Load() > 0 }

// AppendIncomplete appends the nodes whose devices are not all in the table.
func (r *Replica) AppendIncomplete(dst []string) []string {
	if !r.Crowded() {
		return dst
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.authors {
		if a.incomplete {
			dst = append(dst, a.origin.Node)
		}
	}
	return dst
}

// lack notes whether an author is incomplete.
func (r *Replica) lack(a *author, incomplete bool) {
	switch {
	case incomplete && !a.incomplete:
		r.crowded.Add(1)
	case !incomplete && a.incomplete:
		r.crowded.Add(-1)
	}
	a.incomplete = incomplete
}

// mendable says that a snapshot of the author's own could make its set better: the one that
// is there came from a peer, or lacks devices and there is room for another beside it. One
// that did not fit is not tried again at once.
func (r *Replica) mendable(a *author, nowMS int64) bool {
	if a.unfitMS != 0 && nowMS-a.unfitMS < int64(r.cfg.AuditMS) {
		return false
	}
	return a.relayed || a.incomplete && nowMS-a.loadedMS >= int64(r.cfg.AuditMS) && r.Table.Room(a.set) > r.Table.SetLen(a.set)
}

// isWorse says that the snapshot being loaded did not fit, and that the set which it was
// to replace is followed change by change: what is there is nearer to the truth.
func (a *author) isWorse() bool {
	return a.load.incomplete && a.state == live && (a.reload || a.seq >= a.load.seq)
}

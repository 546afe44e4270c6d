package replica

// HOT PATH

// push gives the changes of the own log that wait to every link. A change that comes
// more than BatchMS after the last push is pushed at once; others wait, for whoever
// comes first of Tick and the change that fills a batch. One caller pushes at a time,
// so deltas leave in order; it pushes one batch and more only while full ones wait.
func (r *Replica) push(nowMS int64) {
	o := &r.own
	o.mu.Lock()
	defer o.mu.Unlock()
	for !o.busy && r.pushDueLocked(nowMS) {
		o.busy = true
		o.pushMS = nowMS
		if kept := o.log.head - uint64(o.log.kept); o.pushed < kept {
			o.stats.overrun += kept - o.pushed
			o.pushed = kept
		}
		o.delta.Author, o.delta.First = r.self, o.pushed+1
		o.delta.Changes = o.log.run(o.delta.Changes[:0], o.delta.First, r.cfg.BatchChanges)
		o.pushed += uint64(len(o.delta.Changes))
		o.delta.AtMS = o.marked.take(o.pushed)
		o.mu.Unlock()
		o.peers = r.Links.Peers(o.peers[:0])
		for _, peer := range o.peers {
			r.send(peer, &o.delta)
		}
		o.mu.Lock()
		o.stats.pushes += uint64(len(o.peers))
		o.busy = false
	}
}

// pushDueLocked says whether changes may leave now. A clock that was set back does not
// stop them.
func (r *Replica) pushDueLocked(nowMS int64) bool {
	o := &r.own
	waiting := o.log.head - o.pushed
	if waiting == 0 || waiting >= uint64(r.cfg.BatchChanges) {
		return waiting != 0
	}
	since := nowMS - o.pushMS
	return since >= int64(r.cfg.BatchMS) || since < 0
}

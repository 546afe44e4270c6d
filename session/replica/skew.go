package replica

// compareClocks notes how far a peer's clock is from this node's. What a message takes on
// its way makes it look behind by so much; that is far below SkewMS.
func (r *Replica) compareClocks(from string, sentMS, nowMS int64, fx *effects) {
	a := r.byNode[from]
	if a == nil || !a.member || sentMS == 0 {
		return
	}
	a.clockMS = sentMS - nowMS
	if skewed := a.clockMS > int64(r.cfg.SkewMS) || a.clockMS < -int64(r.cfg.SkewMS); skewed != a.skewed {
		a.skewed = skewed
		fx.skews = append(fx.skews, skew{from, a.clockMS, skewed})
	}
}

// clockSkewMS is how far the clock that differs most from this node's is from it.
func (r *Replica) clockSkewMS() (most int64) {
	for _, a := range r.authors {
		most = max(most, a.clockMS, -a.clockMS)
	}
	return most
}

// rewind follows this node's clock when it was set back: what is due in a second must not
// be due in an hour and a second. So this package notes when something happened, never
// when something will be due, and here what seems to be still to happen is taken for
// having happened now: it waits once more as long as it was to wait, and no longer. That
// needs no memory of what the clock said, so it does not matter when between two ticks,
// or before the first, it was set. Versions never go back (hybrid.go). A clock that was set
// forward makes everything due, which does no harm.
func (r *Replica) rewind(nowMS int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, at := range [...]*int64{&r.headsMS, &r.agedMS, &r.audit.lastMS} {
		*at = min(*at, nowMS)
	}
	for _, a := range r.authors {
		for _, at := range [...]*int64{&a.loadedMS, &a.asking.sinceMS, &a.load.lastMS} {
			*at = min(*at, nowMS)
		}
		if a.unfitMS != 0 {
			a.unfitMS = min(a.unfitMS, nowMS)
		}
	}
	for _, q := range r.contests {
		q.sinceMS = min(q.sinceMS, nowMS)
	}
}

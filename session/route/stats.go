package route

import "sync/atomic"

// Stats is what a table holds and has counted since it was made. Each field's metric
// tag is the name under which it is published.
type Stats struct {
	Entries    uint64 `metric:"roost_route_entries" doc:"open entries of visible sets: devices that are connected, as far as this node knows"`
	Loading    uint64 `metric:"roost_route_loading" doc:"entries of snapshots that are being loaded"`
	Tombstones uint64 `metric:"roost_route_tombstones" doc:"closed entries that are still kept"`
	Dropped    uint64 `metric:"roost_route_dropped" doc:"entries of dropped sets that are still to be reclaimed"`
	Accounts   uint64 `metric:"roost_route_accounts" doc:"slots of the index: pairs of an account and an author"`
	Sets       uint64 `metric:"roost_route_sets" doc:"sets of authors in use, those included that load or are being reclaimed"`
	Bytes      uint64 `metric:"roost_route_bytes" doc:"memory of the table and its index"`

	Full              uint64 `metric:"roost_route_full_total" doc:"entries refused because the table was at entries_max, or others' at that less own_entries"`
	SetsRefused       uint64 `metric:"roost_route_sets_refused_total" doc:"sets refused because there were authors_max"`
	Stale             uint64 `metric:"roost_route_stale_total" doc:"news of a session that the set had already, or had newer"`
	TombstonesSkipped uint64 `metric:"roost_route_tombstones_skipped_total" doc:"closed entries that went at once because there were tombstones_max"`
	Remade            uint64 `metric:"roost_route_remade_total" doc:"times a shard was moved to an array of another size, or cleaned"`
	Retries           uint64 `metric:"roost_route_retries_total" doc:"look-ups that looked again because a change began meanwhile"`
}

type counters struct {
	full, setsRefused, stale, tombstonesSkipped, remade atomic.Uint64

	_       [64]byte
	retries atomic.Uint64 // the readers'
	_       [56]byte
}

// Stats returns the counters. Each is exact; together they are not of one moment.
func (t *Table) Stats() Stats {
	c := &t.count
	s := Stats{
		Bytes:             uint64(t.bytes()),
		Full:              c.full.Load(),
		SetsRefused:       c.setsRefused.Load(),
		Stale:             c.stale.Load(),
		TombstonesSkipped: c.tombstonesSkipped.Load(),
		Remade:            c.remade.Load(),
		Retries:           c.retries.Load(),
	}
	for i := range t.sets.all {
		x := &t.sets.all[i]
		open, tombs := uint64(x.open.Load()), uint64(x.tombs.Load())
		s.Accounts += uint64(x.accounts.Load())
		switch x.state.Load() {
		case setUnused:
			continue
		case setVisible:
			s.Entries += open
			s.Tombstones += tombs
		case setLoading:
			s.Loading += open
			s.Tombstones += tombs
		case setDropped:
			s.Dropped += open + tombs
		}
		s.Sets++
	}
	return s
}

// Len returns how many entries the table holds, tombstones and what is not yet
// reclaimed included: what entries_max limits.
func (t *Table) Len() int { return int(t.entries.Load()) }

// bytes returns the memory of the table: the region's, the lists of granules, the
// queue of tombstones.
func (t *Table) bytes() int {
	n := t.mem.bytes() + t.graves.bytes()
	for i := range shardCount {
		n += 4 * (cap(t.shards[i].array.Load().granules) + cap(t.accounts[i].array.Load().granules))
	}
	return n
}

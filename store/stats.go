package store

import (
	"io"
	"sync/atomic"

	"github.com/VictoriaMetrics/metrics"
)

// Stats is a snapshot of the store's counters. Totals count from Open.
type Stats struct {
	JournalBytes  int    // events that wait for the writer
	Events        uint64 // taken into the journal
	DroppedFull   uint64 // events dropped because the journal was full
	DroppedLate   uint64 // events dropped because the store had failed or was closed
	AttrsLeftOut  uint64 // attributes larger than AttrsBytesMax
	Commits       uint64 // batches committed and synced
	Committed     uint64 // events in them
	LateCommits   uint64 // commits that ended more than LossWindow after their first event
	Heartbeats    uint64
	QuietFlushes  uint64 // write buffers given back after a quiet time
	Stalls        uint64 // times that Pebble held writes back
	DiskWaits     uint64 // disk operations that waited for room or a descriptor
	Background    uint64 // failed flushes and compactions
	Sweeps        uint64 // sweeps that found a bucket due
	Swept         uint64 // records deleted
	Refiled       uint64 // index entries moved to a later bucket
	Resyncs       uint64 // times that records were brought in line after drops
	ResyncClosed  uint64 // records that a resync closed
	Unreadable    uint64 // records that did not parse
	PebbleOnDisk  uint64 // bytes
	PebbleInCache uint64 // bytes of the block cache
}

// counts are the counters behind Stats.
type counts struct {
	attrsLeftOut, commits, committed, lateCommits, heartbeats, quietFlushes atomic.Uint64
	stalls, backgroundErrors                                                atomic.Uint64
	sweeps, swept, refiled, resyncs, resyncClosed, unreadable               atomic.Uint64
}

// Stats returns the counters. It takes locks for microseconds; call it at scrapes,
// not from event loops. After Close the two figures from Pebble are zero.
func (s *Store) Stats() Stats {
	j := &s.journal
	j.mu.Lock()
	st := Stats{JournalBytes: j.waiting, Events: j.events, DroppedFull: j.dropsFull, DroppedLate: j.dropsLate}
	j.mu.Unlock()
	c := &s.counts
	st.AttrsLeftOut, st.Commits, st.Committed = c.attrsLeftOut.Load(), c.commits.Load(), c.committed.Load()
	st.LateCommits, st.Heartbeats, st.QuietFlushes = c.lateCommits.Load(), c.heartbeats.Load(), c.quietFlushes.Load()
	st.Stalls, st.DiskWaits, st.Background = c.stalls.Load(), s.disk.waited(), c.backgroundErrors.Load()
	st.Sweeps, st.Swept, st.Refiled = c.sweeps.Load(), c.swept.Load(), c.refiled.Load()
	st.Resyncs, st.ResyncClosed, st.Unreadable = c.resyncs.Load(), c.resyncClosed.Load(), c.unreadable.Load()
	if s.beginRead() == nil {
		m := s.db.Metrics()
		mail := s.mail.db.Metrics()
		st.PebbleOnDisk = m.DiskSpaceUsage() + mail.DiskSpaceUsage()
		st.PebbleInCache = uint64(m.BlockCache.Size + mail.BlockCache.Size)
		s.endRead()
	}
	return st
}

func (s *Store) journalBytes() int {
	s.journal.mu.Lock()
	defer s.journal.mu.Unlock()
	return s.journal.waiting
}

// commitSeconds are the bounds of the commit histogram: a sync takes 0.2 ms on a
// good disk and seconds on a sick one.
var commitSeconds = []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10}

// newMetrics registers what WriteMetrics exports.
func (s *Store) newMetrics() {
	s.set = metrics.NewSet()
	s.commitTime = s.set.NewPrometheusHistogramExt("roost_store_commit_seconds", commitSeconds)
	s.mailCommitTime = s.set.NewPrometheusHistogramExt("roost_store_mail_commit_seconds", commitSeconds)
}

// Metrics writes the store's metrics in the Prometheus text format.
func (s *Store) Metrics(w io.Writer) {
	st := s.Stats()
	s.set.WritePrometheus(w)
	gauge := func(name string, v uint64) { metrics.WriteGaugeUint64(w, name, v) }
	total := func(name string, v uint64) { metrics.WriteCounterUint64(w, name, v) }
	gauge("roost_store_epoch", s.epoch)
	gauge("roost_store_journal_bytes", uint64(st.JournalBytes))
	gauge("roost_store_journal_bytes_max", uint64(s.cfg.JournalBytesMax))
	gauge("roost_store_disk_bytes", st.PebbleOnDisk)
	gauge("roost_store_cache_bytes", st.PebbleInCache)
	var healthy uint64
	if s.Health() == nil {
		healthy = 1
	}
	gauge("roost_store_healthy", healthy)
	total("roost_store_events_total", st.Events)
	total(`roost_store_dropped_total{reason="journal_full"}`, st.DroppedFull)
	total(`roost_store_dropped_total{reason="failed_or_closed"}`, st.DroppedLate)
	total("roost_store_attrs_left_out_total", st.AttrsLeftOut)
	total("roost_store_commits_total", st.Commits)
	total("roost_store_committed_events_total", st.Committed)
	total("roost_store_late_commits_total", st.LateCommits)
	total("roost_store_heartbeats_total", st.Heartbeats)
	total("roost_store_quiet_flushes_total", st.QuietFlushes)
	total("roost_store_write_stalls_total", st.Stalls)
	total("roost_store_disk_waits_total", st.DiskWaits)
	total("roost_store_background_errors_total", st.Background)
	total("roost_store_sweeps_total", st.Sweeps)
	total("roost_store_swept_records_total", st.Swept)
	total("roost_store_refiled_entries_total", st.Refiled)
	total("roost_store_resyncs_total", st.Resyncs)
	total("roost_store_resync_closed_total", st.ResyncClosed)
	total("roost_store_unreadable_records_total", st.Unreadable)
}

package store

import "sync/atomic"

// MailStats is what the store has counted of kept messages since Open. Each field's metric
// tag is the name under which it is published.
type MailStats struct {
	Messages   int64  `metric:"roost_store_mail_messages" doc:"messages that wait for their devices, on disk or on their way there"`
	QueueBytes int    `metric:"roost_store_mail_queue_bytes" doc:"bytes of messages and outcomes that wait for the disk"`
	DiskBytes  uint64 `metric:"roost_store_mail_disk_bytes" doc:"about what the waiting messages take of the disk, as of the last look"`
	Posted     uint64 `metric:"roost_store_mail_posted_total" doc:"messages kept: synced, and promised"`
	Settled    uint64 `metric:"roost_store_mail_settled_total" doc:"messages taken out with a final outcome"`
	Refused    uint64 `metric:"roost_store_mail_refused_total" doc:"messages refused: a limit was reached, the disk stalled, or the store was closing"`
	Dropped    uint64 `metric:"roost_store_mail_outcomes_dropped_total" doc:"outcomes that the queue had no room for: those messages come back with the next start"`
	Young      int    `metric:"roost_store_mail_young" doc:"of the waiting messages the ones that are not filed under their devices yet"`
	Filed      uint64 `metric:"roost_store_mail_filed_total" doc:"messages filed because they were not settled within mail_young_age"`
	Commits    uint64 `metric:"roost_store_mail_commits_total" doc:"groups of messages and outcomes committed with one sync"`
	Sweeps     uint64 `metric:"roost_store_outcomes_swept_total" doc:"times that outcomes were deleted because their time was over"`
	Forgotten  uint64 `metric:"roost_store_outcomes_forgotten_total" doc:"of those the ones before their time, because outcomes took more than outcome_bytes_max"`
	Repeated   uint64 `metric:"roost_store_mail_repeated_total" doc:"messages that were kept twice under one id, which a defect alone can bring about"`
}

type mailCounts struct {
	refused, dropped, posted, settled, commits, sweeps, forgotten, repeated, filed, diskBytes atomic.Uint64
}

// MailStats returns the counters. Any goroutine may call it; it takes a lock for
// nanoseconds.
func (s *Store) MailStats() MailStats {
	m := &s.mail
	c := &m.count
	st := MailStats{
		DiskBytes: c.diskBytes.Load(), Posted: c.posted.Load(), Settled: c.settled.Load(), Refused: c.refused.Load(),
		Dropped: c.dropped.Load(), Commits: c.commits.Load(), Sweeps: c.sweeps.Load(), Forgotten: c.forgotten.Load(),
		Repeated: c.repeated.Load(), Filed: c.filed.Load(),
	}
	m.mu.Lock()
	st.Messages, st.QueueBytes, st.Young = max(m.messages, 0), m.queued, m.index.count
	m.mu.Unlock()
	return st
}

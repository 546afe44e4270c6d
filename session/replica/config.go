package replica

import "fmt"

// Config holds the limits of replication. It is read once, by New.
type Config struct {
	LogChanges     int `yaml:"log_changes" doc:"newest changes of the node's own log that are kept for peers that missed some, count; 24 bytes each. A peer that is further behind gets a snapshot"`
	RelayedChanges int `yaml:"relayed_changes" doc:"newest changes of every other node's log that are kept for peers without a link to it, count; 24 bytes each for each node"`
	AuthorsMax     int `yaml:"authors_max" doc:"nodes whose logs are followed, count; beyond it a node that joins is not routed to, and counted"`
	EarlyChanges   int `yaml:"early_changes" doc:"changes of one node kept while what comes before them is fetched, count; 32 bytes each. Beyond it they are fetched again"`
	ContestsMax    int `yaml:"contests_max" doc:"own sessions beaten by another node's entry that are being asked about, count. Beyond it they wait for the audit"`
	HiddenMax      int `yaml:"hidden_max" doc:"devices that are remembered because a tombstone hides their open session until it goes, count; 40 bytes each. Beyond it mailboxes look after everybody for some seconds"`
	CollisionsMax  int `yaml:"collisions_max" doc:"pairs of live devices with one hash that are remembered, so that they are asked about once, count"`
	TransfersMax   int `yaml:"transfers_max" doc:"answers to peers that are behind being sent at one time, count; each keeps one chunk at most. Beyond it a request is dropped and comes again"`

	ChunkChanges  int `yaml:"chunk_changes" doc:"changes in one message, count; 2,048 are some 50 KB. A message that has more is refused"`
	ChunksPerTick int `yaml:"chunks_per_tick" doc:"messages sent to peers that are behind in one tick, count; with ticks of 50 ms 16 are some 16 MB/s, and a link's queue must have room for them"`
	BatchChanges  int `yaml:"batch_changes" doc:"changes that wait to be pushed before they are without further waiting, count; 2,048 are some 50 KB. At most chunk_changes"`
	BatchMS       int `yaml:"batch_ms" doc:"time changes are collected for one push when there was one less than that ago, milliseconds; the owner's ticks should not be further apart"`

	HeadsMS       int `yaml:"heads_ms" doc:"time between two comparisons of heads with a random peer, milliseconds"`
	AskMS         int `yaml:"ask_ms" doc:"time an author has to answer a request for its log before it is asked again, milliseconds; doubles up to ask_max_ms"`
	AskMaxMS      int `yaml:"ask_max_ms" doc:"most time between two requests or two questions to the same node, milliseconds"`
	LoadMS        int `yaml:"load_ms" doc:"time without a chunk after which a snapshot is given up and asked for again, milliseconds"`
	QuestionMS    int `yaml:"question_ms" doc:"time a node has to say whether it holds a device before it is asked again, milliseconds; doubles up to ask_max_ms"`
	QuestionTries int `yaml:"question_tries" doc:"questions about one device before it is left to the audit, count"`
	AuditMS       int `yaml:"audit_ms" doc:"time between two audits of the own sessions, milliseconds"`
	AuditStep     int `yaml:"audit_step" doc:"own sessions audited in one tick, count; each costs a look-up"`
	AgeMS         int `yaml:"age_ms" doc:"time in which tombstones grow one older, milliseconds; with route.tombstone_ages 2 one stays for 2 to 3 s, longer than a device needs to be seen on its next node"`
	SweepStep     int `yaml:"sweep_step" doc:"slots of the table swept in one tick, count; they are only looked at when something is to be reclaimed"`
	DriftMS       int `yaml:"drift_ms" doc:"how far ahead of this node's clock a version may be to be taken over by it, milliseconds; twice the largest difference between clocks that is to be expected"`
	SkewMS        int `yaml:"skew_ms" doc:"how far ahead of this node's clock a version may be before it counts as skewed, and how far apart two nodes' clocks may be before both log it, milliseconds"`
}

// Default returns the configuration of a node that nobody configured.
func Default() Config {
	return Config{
		LogChanges:     1 << 16,
		RelayedChanges: 1 << 12,
		AuthorsMax:     1024,
		EarlyChanges:   1 << 16,
		ContestsMax:    4096,
		HiddenMax:      4096,
		CollisionsMax:  1024,
		TransfersMax:   256,
		ChunkChanges:   2048,
		ChunksPerTick:  16,
		BatchChanges:   2048,
		BatchMS:        50,
		HeadsMS:        1000,
		AskMS:          250,
		AskMaxMS:       8000,
		LoadMS:         5000,
		QuestionMS:     250,
		QuestionTries:  8,
		AuditMS:        60_000,
		AuditStep:      2048,
		AgeMS:          1000,
		SweepStep:      1 << 16,
		DriftMS:        2 * 3_600_000,
		SkewMS:         60_000,
	}
}

// Validate reports the first value that cannot be.
func (c Config) Validate() error {
	const hour = 3_600_000
	for _, limit := range [...]struct {
		name     string
		value    int
		min, max int
	}{
		{"log_changes", c.LogChanges, 16, 1 << 24},
		{"relayed_changes", c.RelayedChanges, 16, 1 << 20},
		{"authors_max", c.AuthorsMax, 1, 1 << 15},
		{"early_changes", c.EarlyChanges, 16, 1 << 24},
		{"contests_max", c.ContestsMax, 1, 1 << 20},
		{"hidden_max", c.HiddenMax, 1, 1 << 20},
		{"collisions_max", c.CollisionsMax, 1, 1 << 20},
		{"transfers_max", c.TransfersMax, 1, 1 << 15},
		{"chunk_changes", c.ChunkChanges, 1, 1 << 16},
		{"chunks_per_tick", c.ChunksPerTick, 1, 1 << 10},
		{"batch_changes", c.BatchChanges, 1, 1 << 16},
		{"batch_ms", c.BatchMS, 1, 10_000},
		{"heads_ms", c.HeadsMS, 10, hour},
		{"ask_ms", c.AskMS, 1, hour},
		{"ask_max_ms", c.AskMaxMS, 1, hour},
		{"load_ms", c.LoadMS, 1, hour},
		{"question_ms", c.QuestionMS, 1, hour},
		{"question_tries", c.QuestionTries, 1, 1 << 10},
		{"audit_ms", c.AuditMS, 100, 24 * hour},
		{"audit_step", c.AuditStep, 1, 1 << 20},
		{"age_ms", c.AgeMS, 10, hour},
		{"sweep_step", c.SweepStep, 1, 1 << 24},
		{"drift_ms", c.DriftMS, 1, 1000 * hour},
		{"skew_ms", c.SkewMS, 1, 24 * hour},
	} {
		if limit.value < limit.min || limit.value > limit.max {
			return fmt.Errorf("replica: %s is %d: it must be %d to %d", limit.name, limit.value, limit.min, limit.max)
		}
	}
	switch {
	case c.BatchChanges > c.ChunkChanges:
		return fmt.Errorf("replica: batch_changes is %d: a push is one message, so it must be at most chunk_changes, which is %d", c.BatchChanges, c.ChunkChanges)
	case c.BatchChanges > c.LogChanges:
		return fmt.Errorf("replica: batch_changes is %d: it must be at most log_changes, which is %d", c.BatchChanges, c.LogChanges)
	case c.AskMS > c.AskMaxMS:
		return fmt.Errorf("replica: ask_ms is %d: it must be at most ask_max_ms, which is %d", c.AskMS, c.AskMaxMS)
	case c.QuestionMS > c.AskMaxMS:
		return fmt.Errorf("replica: question_ms is %d: it must be at most ask_max_ms, which is %d", c.QuestionMS, c.AskMaxMS)
	}
	return nil
}

package route

import "fmt"

// Config holds the limits of a table. It is read once, by New.
type Config struct {
	EntriesMax    int `yaml:"entries_max" doc:"entries held at most, tombstones and what is not yet reclaimed included, count; beyond it new ones are refused and counted. Their address space is reserved at the start, some 40 bytes each; memory is used as they come"`
	OwnEntries    int `yaml:"own_entries" doc:"of entries_max, those that only the node's own sessions may take, count: a cluster that has outgrown the table costs a node the sight of others' devices, never of its own; at least its max_connections"`
	AuthorsMax    int `yaml:"authors_max" doc:"authors' sets at one moment, count: one for each node, a second one while its snapshot loads, and those that are being reclaimed; beyond it a snapshot has to wait"`
	TombstonesMax int `yaml:"tombstones_max" doc:"closed entries kept for the sake of messages that overtake a reconnect, count; beyond it a closed entry goes at once and such a message may be told offline. Each holds 24 bytes beside its entry"`
	TombstoneAges int `yaml:"tombstone_ages" doc:"calls of Age that a tombstone survives; the one after them lets it go. With one a second, 2 keep it for 2 to 3 seconds"`
}

// Default returns the configuration of a node that nobody configured.
func Default() Config {
	return Config{
		EntriesMax:    50_000_000,
		OwnEntries:    1_000_000,
		AuthorsMax:    4096,
		TombstonesMax: 4_000_000,
		TombstoneAges: 2,
	}
}

// Validate reports the first value that cannot be.
func (c Config) Validate() error {
	for _, limit := range [...]struct {
		name     string
		value    int
		min, max int
	}{
		{"entries_max", c.EntriesMax, 1, 1 << 31},
		{"own_entries", c.OwnEntries, 0, c.EntriesMax - 1},
		{"authors_max", c.AuthorsMax, 2, authorsCeiling},
		{"tombstones_max", c.TombstonesMax, 0, 1 << 30},
		{"tombstone_ages", c.TombstoneAges, 1, 60},
	} {
		if limit.value < limit.min || limit.value > limit.max {
			return fmt.Errorf("route: %s is %d: it must be %d to %d", limit.name, limit.value, limit.min, limit.max)
		}
	}
	return nil
}

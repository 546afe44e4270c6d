package presence

import (
	"fmt"
	"time"
)

// Config holds the limits of presence. It is read once, by New.
type Config struct {
	Grace time.Duration `yaml:"grace" doc:"time for which a device must be gone before others are told that it is offline. Unless it is set it is the longest that a device may be told to wait, by protocol.reconnect_max or drain.reconnect_max, and 3s to connect: who comes back as it was told has not gone, nor has a phone that changes its network"`

	WatchersMax        int `yaml:"watchers_max" doc:"sessions of this node that may watch presence, count; each costs some 300 bytes, and 120 more for each other device of its account. Beyond it subscribe is answered overloaded"`
	AccountWatchersMax int `yaml:"account_watchers_max" doc:"of those the sessions of one account, count: every change is told to each of them"`
	DevicesMax         int `yaml:"devices_max" doc:"devices of one watched account that are followed, count; others are not told of, and counted"`
	EntriesMax         int `yaml:"entries_max" doc:"devices of all watched accounts that are followed, count; some 120 bytes each"`

	EventsMax       int `yaml:"events_max" doc:"events that may be on their way to one watcher, count; what is beyond is put off, until it has taken them all, and then it is told how things are"`
	EventsPerTick   int `yaml:"events_per_tick" doc:"events sent in one tick of 25 ms, count; 500 are 20,000 a second, which leaves time for messages"`
	AccountsPerTick int `yaml:"accounts_per_tick" doc:"watched accounts looked at in one tick of 25 ms, count; each costs a look-up for each of its devices"`
	QuestionsMax    int `yaml:"questions_max" doc:"accounts whose devices' names are being asked for at other nodes at one moment, count; a node that does not answer keeps its place for 2 s"`
}

// ConnectTime is how long a device may take to connect once it tries: a phone that changes its
// network is back within it.
const ConnectTime = 3 * time.Second

// Default returns the configuration of a node that nobody configured.
func Default() Config {
	return Config{
		Grace:       ConnectTime, // above what the longest wait is told to be, which package presence does not know
		WatchersMax: 50_000, AccountWatchersMax: 256, DevicesMax: 1000, EntriesMax: 500_000,
		EventsMax: 128, EventsPerTick: 500, AccountsPerTick: 1000, QuestionsMax: 256,
	}
}

// Validate reports the first value that cannot be.
func (c Config) Validate() error {
	if c.Grace < 0 || c.Grace > time.Hour {
		return fmt.Errorf("presence: grace is %v: it must be 0s to 1h", c.Grace)
	}
	for _, limit := range [...]struct {
		name       string
		value, max int
	}{
		{"watchers_max", c.WatchersMax, 1 << 24},
		{"account_watchers_max", c.AccountWatchersMax, 1 << 16},
		{"devices_max", c.DevicesMax, 10_000},
		{"entries_max", c.EntriesMax, 1 << 26},
		{"events_max", c.EventsMax, 1 << 16},
		{"events_per_tick", c.EventsPerTick, 1 << 20},
		{"accounts_per_tick", c.AccountsPerTick, 1 << 20},
		{"questions_max", c.QuestionsMax, 1 << 12},
	} {
		if limit.value < 1 || limit.value > limit.max {
			return fmt.Errorf("presence: %s is %d: it must be 1 to %d", limit.name, limit.value, limit.max)
		}
	}
	if c.DevicesMax > c.EntriesMax {
		return fmt.Errorf("presence: devices_max is %d: it must be at most entries_max, which is %d", c.DevicesMax, c.EntriesMax)
	}
	return nil
}

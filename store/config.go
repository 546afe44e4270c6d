package store

import (
	"errors"
	"fmt"
	"time"
)

// journalChunkBytes is the unit in which the journal grows: small enough that
// allocating one under the journal's mutex is a matter of microseconds.
const journalChunkBytes = 64 << 10

// Config holds the settings of a Store. It is read once, by Open.
type Config struct {
	// EpochMin is the least that the epoch may be: above the highest that other nodes have
	// heard of this one, whose disk may have been lost. It is no setting.
	EpochMin uint64 `yaml:"-"`

	Directory string `yaml:"directory" doc:"directory that holds the records and the epoch; one process at a time may use it; it is made when missing"`

	LossWindow        time.Duration `yaml:"loss_window" doc:"a killed process loses at most the records of this time: a commit begins after half of it, which leaves the other half for the sync itself"`
	HeartbeatInterval time.Duration `yaml:"heartbeat_interval" doc:"time between two heartbeats of the epoch; sessions that a crash ended read as closed at the last one"`
	Retention         time.Duration `yaml:"retention" doc:"how long a device is remembered after it was last connected; 720h covers a month away"`
	SweepBucket       time.Duration `yaml:"sweep_bucket" doc:"width of one bucket of the expiry index: a record leaves the disk at most this long after its retention (readers stop seeing it at once); wider means fewer index entries for each device"`
	SweepInterval     time.Duration `yaml:"sweep_interval" doc:"time between two looks at whether a bucket is due; a look costs nothing when none is"`
	SweepEntriesMax   int           `yaml:"sweep_entries_max" doc:"records that the sweeper handles before it lets the writer go on; bounds what a sweep adds to a commit"`
	SweepPause        time.Duration `yaml:"sweep_pause" doc:"pause between two such portions, so that a sweep leaves the disk to others"`

	JournalBytesMax   int `yaml:"journal_bytes_max" doc:"memory for events that wait for the disk, in bytes; above it events are dropped and counted, and records are brought in line later"`
	UserAgentBytesMax int `yaml:"user_agent_bytes_max" doc:"bytes of a user agent that are kept; the rest is cut off"`
	RemoteBytesMax    int `yaml:"remote_bytes_max" doc:"bytes of a remote address that are kept; 64 holds any IPv6 address with zone and port"`
	AttrsBytesMax     int `yaml:"attrs_bytes_max" doc:"bytes of a token's attributes that are kept; a larger object is left out, because half of one would not parse"`
	AccountDevicesMax int `yaml:"account_devices_max" doc:"devices of one account that a single question returns at most; above api.http.devices_max, so that a list which was cut can say so"`

	MailGroupInterval time.Duration `yaml:"mail_group_interval" doc:"least time between two groups of kept messages, each of which costs a sync; a lone message does not wait for it, many of them share a sync"`
	MailQueueBytesMax int           `yaml:"mail_queue_bytes_max" doc:"kept messages that wait for the disk, in bytes; beyond it they are refused. As much again may be on its way to the disk, and outcomes may take as much again"`
	MailYoungAge      time.Duration `yaml:"mail_young_age" doc:"how long a kept message may stay in memory, beside its place in a log on disk, before it is filed under its device; most are acknowledged before"`
	MailYoungBytesMax int           `yaml:"mail_young_bytes_max" doc:"bytes of such messages; beyond it the oldest are filed earlier. After a crash a start files them all; who reads messages waits for that"`
	MailMemTableBytes int           `yaml:"mail_mem_table_bytes" doc:"size of a write buffer of the database of messages in bytes; it begins smaller and grows when messages are kept at a rate"`
	MailCacheBytes    int           `yaml:"mail_cache_bytes" doc:"block cache of that database in bytes; write buffers are taken out of it"`
	MailMessagesMax   int           `yaml:"mail_messages_max" doc:"messages of this node that wait for their devices; beyond it they are refused. The memory of who looks after them is about 100 bytes each"`
	MailBytesMax      int           `yaml:"mail_bytes_max" doc:"bytes that waiting messages may take of the disk, looked at each second; beyond it messages are refused"`
	MailFreeBytesMin  int           `yaml:"mail_free_bytes_min" doc:"bytes that must be free on the disk, looked at each second; below it messages are refused, so that outcomes and records still get there"`
	OutcomeRetention  time.Duration `yaml:"outcome_retention" doc:"how long the outcome of a kept message can be asked for once it is final"`
	OutcomeBytesMax   int           `yaml:"outcome_bytes_max" doc:"bytes that such outcomes may take of the disk; beyond it the oldest eighth of outcome_retention is forgotten. About 45 bytes each"`

	MemTableBytes int `yaml:"mem_table_bytes" doc:"size of one of Pebble's write buffers in bytes; two stay in memory when idle and their pages count as the memory of devices, while smaller ones make more tables to compact when devices come and go"`
	MemTablesMax  int `yaml:"mem_tables_max" doc:"write buffers that may wait to be written before commits stall; absorbs a reconnect storm"`
	CacheBytes    int `yaml:"cache_bytes" doc:"Pebble's block cache in bytes; write buffers are taken out of it"`
	OpenFilesMax  int `yaml:"open_files_max" doc:"descriptors that Pebble may use; 74 is the least it honours"`

	QuietFlushAfter time.Duration `yaml:"quiet_flush_after" doc:"after this long without a commit the write buffer goes to disk and the journal's spare memory is given back"`

	QuietFlushBytes int `yaml:"quiet_flush_bytes" doc:"bytes that must have been written for that: a small node does not make a table of each few events"`

	StallAfter        time.Duration `yaml:"stall_after" doc:"a disk operation or commit that takes longer makes readiness fail with the reason"`
	DiskRetryInterval time.Duration `yaml:"disk_retry_interval" doc:"time between two attempts of a write for which the disk has no room"`
	CloseTimeout      time.Duration `yaml:"close_timeout" doc:"how long Close waits for the last commit before it reports what is lost"`
}

// Default returns the settings of a node; only Directory has no sensible default
// beyond a relative name.
func Default() Config {
	return Config{
		Directory:         "roost-data",
		LossWindow:        100 * time.Millisecond,
		HeartbeatInterval: 10 * time.Second,
		Retention:         720 * time.Hour,
		SweepBucket:       72 * time.Hour,
		SweepInterval:     10 * time.Minute,
		SweepEntriesMax:   256,
		SweepPause:        10 * time.Millisecond,
		JournalBytesMax:   8 << 20,
		UserAgentBytesMax: 256,
		RemoteBytesMax:    64,
		AttrsBytesMax:     4 << 10,
		AccountDevicesMax: 10_001,
		MailGroupInterval: 5 * time.Millisecond,
		MailQueueBytesMax: 32 << 20,
		MailYoungAge:      2 * time.Second,
		MailYoungBytesMax: 16 << 20,
		MailMemTableBytes: 4 << 20,
		MailCacheBytes:    16 << 20,
		MailMessagesMax:   4_000_000,
		MailBytesMax:      8 << 30,
		MailFreeBytesMin:  256 << 20,
		OutcomeRetention:  time.Hour,
		OutcomeBytesMax:   1 << 30,
		MemTableBytes:     512 << 10,
		MemTablesMax:      16,
		CacheBytes:        4 << 20,
		OpenFilesMax:      74,
		QuietFlushAfter:   5 * time.Second,
		QuietFlushBytes:   128 << 10,
		StallAfter:        5 * time.Second,
		DiskRetryInterval: 250 * time.Millisecond,
		CloseTimeout:      10 * time.Second,
	}
}

// Validate reports everything that is wrong with the settings, each by its name.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("store: "+format, args...))
		}
	}
	between := func(name string, v, low, high time.Duration) {
		check(v >= low && v <= high, "%s is %v, it must be from %v to %v", name, v, low, high)
	}
	count := func(name string, v, low, high int) {
		check(v >= low && v <= high, "%s is %d, it must be from %d to %d", name, v, low, high)
	}
	check(c.Directory != "", "directory is missing")
	between("loss_window", c.LossWindow, 2*time.Millisecond, time.Minute)
	between("heartbeat_interval", c.HeartbeatInterval, time.Second, 10*time.Minute)
	between("retention", c.Retention, time.Minute, 10*8766*time.Hour)
	between("sweep_bucket", c.SweepBucket, time.Minute, 8766*time.Hour)
	between("sweep_interval", c.SweepInterval, time.Second, 24*time.Hour)
	count("sweep_entries_max", c.SweepEntriesMax, 1, 10_000)
	between("sweep_pause", c.SweepPause, time.Millisecond, time.Minute)
	count("journal_bytes_max", c.JournalBytesMax, 2*journalChunkBytes, 1<<30)
	count("user_agent_bytes_max", c.UserAgentBytesMax, 1, 8<<10)
	count("remote_bytes_max", c.RemoteBytesMax, 16, 256)
	count("attrs_bytes_max", c.AttrsBytesMax, 2, 32<<10)
	count("account_devices_max", c.AccountDevicesMax, 1, 1_000_000)
	between("mail_group_interval", c.MailGroupInterval, 0, time.Second)
	count("mail_queue_bytes_max", c.MailQueueBytesMax, 64<<10, 1<<30)
	between("mail_young_age", c.MailYoungAge, time.Millisecond, time.Minute)
	count("mail_young_bytes_max", c.MailYoungBytesMax, 64<<10, 1<<30)
	count("mail_mem_table_bytes", c.MailMemTableBytes, 256<<10, 256<<20)
	check(c.MailCacheBytes >= 3*c.MailMemTableBytes, "mail_cache_bytes is %d, it must be three times mail_mem_table_bytes (%d) or more, because idle write buffers are taken out of it", c.MailCacheBytes, c.MailMemTableBytes)
	count("mail_messages_max", c.MailMessagesMax, 1, 1_000_000_000)
	count("mail_bytes_max", c.MailBytesMax, 1<<20, 1<<50)
	count("mail_free_bytes_min", c.MailFreeBytesMin, 1<<20, 1<<50)
	between("outcome_retention", c.OutcomeRetention, time.Second, 720*time.Hour)
	count("outcome_bytes_max", c.OutcomeBytesMax, 1<<20, 1<<50)
	count("mem_table_bytes", c.MemTableBytes, 256<<10, 256<<20)
	count("mem_tables_max", c.MemTablesMax, 2, 64)
	check(c.CacheBytes >= 3*c.MemTableBytes, "cache_bytes is %d, it must be three times mem_table_bytes (%d) or more, because idle write buffers are taken out of it", c.CacheBytes, c.MemTableBytes)
	count("open_files_max", c.OpenFilesMax, 74, 1<<20)
	between("quiet_flush_after", c.QuietFlushAfter, 100*time.Millisecond, time.Hour)
	check(c.QuietFlushAfter > c.LossWindow, "quiet_flush_after is %v, it must be longer than loss_window (%v)", c.QuietFlushAfter, c.LossWindow)
	count("quiet_flush_bytes", c.QuietFlushBytes, 1, 1<<30)
	between("stall_after", c.StallAfter, 100*time.Millisecond, 10*time.Minute)
	check(c.StallAfter > c.LossWindow, "stall_after is %v, it must be longer than loss_window (%v)", c.StallAfter, c.LossWindow)
	between("disk_retry_interval", c.DiskRetryInterval, time.Millisecond, time.Minute)
	between("close_timeout", c.CloseTimeout, 10*time.Millisecond, 10*time.Minute)
	return errors.Join(errs...)
}

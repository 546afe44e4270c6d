package records

import (
	"errors"
	"fmt"
	"time"
)

// Config holds the limits of what is kept at the home of an account. It is a value, read
// once.
type Config struct {
	QueueBytes    int           `yaml:"queue_bytes" doc:"memory for facts on their way to one home, bytes; beyond it this node's own store stands in. 4 MiB are some 25,000 facts, a second of a reconnect storm"`
	BatchBytes    int           `yaml:"batch_bytes" doc:"size up to which facts share a frame, bytes; the largest token attributes and their user agent must fit"`
	AckTimeout    time.Duration `yaml:"ack_timeout" doc:"time a home has to put facts on its disk and say so, before this node's own store stands in"`
	SettleAfter   time.Duration `yaml:"settle_after" doc:"time without a change of the members after which records are handed to their new homes: a node that only starts again should not get them all back"`
	HandOverFacts int           `yaml:"hand_over_facts" doc:"records looked at, and those that belong elsewhere sent there, before the next pause, count"`
	HandOverPause time.Duration `yaml:"hand_over_pause" doc:"pause between two such portions, so that a hand-over leaves disk and links to others"`
	AbsentFor     time.Duration `yaml:"absent_for" doc:"time after a node's failure in which device lists are marked incomplete: it may have records that nobody else has"`
}

// Default returns the limits of a node that nobody configured.
func Default() Config {
	return Config{
		QueueBytes:    4 << 20,
		BatchBytes:    64 << 10,
		AckTimeout:    5 * time.Second,
		SettleAfter:   3 * time.Second,
		HandOverFacts: 1024,
		HandOverPause: 20 * time.Millisecond,
		AbsentFor:     10 * time.Minute,
	}
}

// Validate reports everything that is wrong, each with the setting's name.
func (c Config) Validate() error {
	var errs []error
	for _, n := range []struct {
		name         string
		v, low, high int
	}{
		{"batch_bytes", c.BatchBytes, 48 << 10, 1 << 20},
		{"queue_bytes", c.QueueBytes, 2 * 48 << 10, 1 << 30},
		{"hand_over_facts", c.HandOverFacts, 1, 1 << 16},
	} {
		if n.v < n.low || n.v > n.high {
			errs = append(errs, fmt.Errorf("%s is %d; %d to %d are allowed", n.name, n.v, n.low, n.high))
		}
	}
	for _, d := range []struct {
		name         string
		v, low, high time.Duration
	}{
		{"ack_timeout", c.AckTimeout, 100 * time.Millisecond, 10 * time.Minute},
		{"settle_after", c.SettleAfter, 10 * time.Millisecond, time.Hour},
		{"hand_over_pause", c.HandOverPause, time.Millisecond, time.Minute},
		{"absent_for", c.AbsentFor, 0, 24 * time.Hour},
	} {
		if d.v < d.low || d.v > d.high {
			errs = append(errs, fmt.Errorf("%s is %v; %v to %v are allowed", d.name, d.v, d.low, d.high))
		}
	}
	if c.QueueBytes < 2*c.BatchBytes {
		errs = append(errs, fmt.Errorf("queue_bytes %d is below twice batch_bytes (%d): one batch waits for its answer while the next is filled", c.QueueBytes, c.BatchBytes))
	}
	return errors.Join(errs...)
}

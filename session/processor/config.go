package processor

import (
	"fmt"
	"time"
)

// Config holds the limits of asynchronous push. It is read once, by New.
type Config struct {
	Concurrency        int        `yaml:"concurrency" doc:"attempts that are on their way at one moment, of all lanes; each holds its record. 1,024 keep two cores busy at some milliseconds an attempt"`
	AccountConcurrency int        `yaml:"account_concurrency" doc:"of those the ones of one account (or topic) in one lane, so that an account whose devices answer slowly leaves the others their places"`
	High               LaneConfig `yaml:"high" doc:"the lane of priority high"`
	Normal             LaneConfig `yaml:"normal" doc:"the lane of priority normal"`
	Low                LaneConfig `yaml:"low" doc:"the lane of priority low"`

	AttemptTimeout time.Duration `yaml:"attempt_timeout" doc:"time after which an attempt at a record with ttl 0 is timeout for those of its devices that have no outcome (PROTOCOL.md section 0: 5s)"`

	RetryMin time.Duration `yaml:"retry_min" doc:"backoff after the first attempt that may succeed later; it doubles with each one, and half of it is left to chance"`
	RetryMax time.Duration `yaml:"retry_max" doc:"longest backoff, which is how long a node or device that is back may have to wait for what was tried while it was away"`
	RetryFor time.Duration `yaml:"retry_for" doc:"time from its arrival in which a record with ttl 0 is tried again when its first attempt did not leave the node; a last attempt at its end decides"`
	HoldMax  time.Duration `yaml:"hold_max" doc:"time from its arrival in which a record with a ttl is tried again if its ttl is longer; a last attempt at its end decides. It holds up the queue it came from, and keeping it for days is the mailbox's work"`

	IdempotencyAge    time.Duration `yaml:"idempotency_age" doc:"time in which a record with an id that had a result before gets that result, and is not pushed again"`
	IdempotencyIDsMax int           `yaml:"idempotency_ids_max" doc:"results remembered by id, at some 200 bytes each; the oldest goes first"`
	PayloadBytesMax   int           `yaml:"payload_bytes_max" doc:"size of a payload (PROTOCOL.md section 0: 1 MiB from a service). A record with a larger one is rejected"`
}

// LaneConfig holds the limits of one lane.
type LaneConfig struct {
	Weight      int `yaml:"weight" doc:"share of the attempts that the lane gets while all lanes have some to begin, beside the weights of the others"`
	Concurrency int `yaml:"concurrency" doc:"attempts of the lane that are on their way at one moment; any two lanes' together are less than all, so that the third always gets on"`
	RecordsMax  int `yaml:"records_max" doc:"records that the lane holds, from their arrival to their result; above it sources wait"`
	BytesMax    int `yaml:"bytes_max" doc:"bytes of their payloads, twice the largest payload at least; above it sources wait"`
	TurnsMax    int `yaml:"turns_max" doc:"turns of the mailbox that the lane holds, from the asking to the end; above it the mailbox asks again later"`
}

// Default returns the configuration of a node that nobody configured.
func Default() Config {
	lane := LaneConfig{Concurrency: 500, RecordsMax: 20_000, BytesMax: 64 << 20, TurnsMax: 20_000}
	high, normal, low := lane, lane, lane
	high.Weight, normal.Weight, low.Weight = 8, 4, 1
	return Config{
		Concurrency:        1024,
		AccountConcurrency: 32,
		High:               high,
		Normal:             normal,
		Low:                low,
		AttemptTimeout:     5 * time.Second,
		RetryMin:           200 * time.Millisecond,
		RetryMax:           10 * time.Second,
		RetryFor:           30 * time.Second,
		HoldMax:            time.Hour,
		IdempotencyAge:     10 * time.Minute,
		IdempotencyIDsMax:  100_000,
		PayloadBytesMax:    1 << 20,
	}
}

// weightMax keeps the rounding of strides below a thousandth.
const weightMax = 1000

// Validate reports the first value that cannot be.
func (c Config) Validate() error {
	for _, limit := range [...]struct {
		name            string
		value, min, max int
	}{
		{"concurrency", c.Concurrency, 3, 1 << 20},
		{"account_concurrency", c.AccountConcurrency, 1, 1 << 20},
		{"idempotency_ids_max", c.IdempotencyIDsMax, 1, 1 << 26},
		{"payload_bytes_max", c.PayloadBytesMax, 1, 64 << 20},
	} {
		if limit.value < limit.min || limit.value > limit.max {
			return fmt.Errorf("processor: %s is %d: it must be %d to %d", limit.name, limit.value, limit.min, limit.max)
		}
	}
	for _, limit := range [...]struct {
		name            string
		value, min, max time.Duration
	}{
		{"attempt_timeout", c.AttemptTimeout, 10 * time.Millisecond, 10 * time.Minute},
		{"retry_min", c.RetryMin, 100 * time.Millisecond, time.Minute},
		{"retry_max", c.RetryMax, c.RetryMin, time.Hour},
		{"retry_for", c.RetryFor, c.RetryMin, 24 * time.Hour},
		{"hold_max", c.HoldMax, c.RetryMin, 24 * time.Hour},
		{"idempotency_age", c.IdempotencyAge, time.Second, 24 * time.Hour},
	} {
		if limit.value < limit.min || limit.value > limit.max {
			return fmt.Errorf("processor: %s is %v: it must be %v to %v", limit.name, limit.value, limit.min, limit.max)
		}
	}
	return c.validateLanes()
}

func (c Config) validateLanes() error {
	lanes := [...]struct {
		name string
		LaneConfig
	}{{"high", c.High}, {"normal", c.Normal}, {"low", c.Low}}
	for _, l := range lanes {
		for _, limit := range [...]struct {
			name            string
			value, min, max int
		}{
			{"weight", l.Weight, 1, weightMax},
			{"concurrency", l.Concurrency, 1, c.Concurrency - 2},
			{"records_max", l.RecordsMax, 1, 1 << 24},
			{"bytes_max", l.BytesMax, 2 * c.PayloadBytesMax, 1 << 40},
			{"turns_max", l.TurnsMax, 1, 1 << 24},
		} {
			if limit.value < limit.min || limit.value > limit.max {
				return fmt.Errorf("processor: %s.%s is %d: it must be %d to %d", l.name, limit.name, limit.value, limit.min, limit.max)
			}
		}
	}
	for i, third := range lanes {
		a, b := lanes[(i+1)%3], lanes[(i+2)%3]
		if sum := a.Concurrency + b.Concurrency; sum >= c.Concurrency {
			return fmt.Errorf("processor: %s.concurrency and %s.concurrency are %d together: they must be less than concurrency (%d), or slow attempts of the two keep %s from its turn",
				a.name, b.name, sum, c.Concurrency, third.name)
		}
	}
	return nil
}

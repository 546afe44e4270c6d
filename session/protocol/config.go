package protocol

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Config is what an operator may set of the gate.
type Config struct {
	Origins []string `yaml:"origins" doc:"browsers' origins that may connect, such as https://app.example.com or https://*.example.com; * is any. Empty: only pages of the same host. Clients that send no Origin are no browsers and pass"`

	UpgradesPerSecondMax int `yaml:"upgrades_per_second_max" doc:"upgrades taken in a second, count; beyond it 429 with Retry-After, so that a reconnect storm leaves time for messages"`
	UpgradesBurst        int `yaml:"upgrades_burst" doc:"upgrades taken at once before that rate counts, count"`
	PoolWorkers          int `yaml:"pool_workers" doc:"goroutines for what would hold up an event loop, count: as many for public-key signatures (33 to 79 µs each) as for device lists"`
	PoolQueue            int `yaml:"pool_queue" doc:"jobs waiting for each of the two, count; beyond it upgrades are told 503 and frames get the error overloaded"`

	MessageRate   int           `yaml:"message_rate" doc:"messages a device may send in a second, count; beyond it each is refused with the error rate (GCRA)"`
	MessageBurst  int           `yaml:"message_burst" doc:"messages a device may send at once before that rate counts, count"`
	StrikesMax    int           `yaml:"strikes_max" doc:"refused messages after which the device is closed with 4006, count, 1 to 250; forgotten once it has been below the rate for as long as a burst takes to refill"`
	Lifetime      bool          `yaml:"lifetime" doc:"end each connection at a random age, so that load spreads and no connection outlives a deploy"`
	LifetimeMin   time.Duration `yaml:"lifetime_min" doc:"youngest age at which a connection is asked to leave"`
	LifetimeMax   time.Duration `yaml:"lifetime_max" doc:"oldest age at which it is"`
	LifetimeGrace time.Duration `yaml:"lifetime_grace" doc:"time from goaway to the close with 4003; the device should go first, so that TIME_WAIT stays with it"`
	ReconnectMax  time.Duration `yaml:"reconnect_max" doc:"longest wait a device is told before it connects again; each is told a random part of it, so that they do not come together"`
	DevicesMax    int           `yaml:"devices_max" doc:"devices in the answer to a devices frame, count"`
}

// Default returns the values a node starts from.
func Default() Config {
	return Config{
		UpgradesPerSecondMax: 20000, UpgradesBurst: 20000,
		PoolWorkers: 2, PoolQueue: 4096,
		MessageRate: 50, MessageBurst: 200, StrikesMax: 100,
		Lifetime: true, LifetimeMin: 25 * time.Minute, LifetimeMax: 35 * time.Minute, LifetimeGrace: 10 * time.Second,
		ReconnectMax: 5 * time.Second,
		DevicesMax:   1000,
	}
}

// Validate reports everything that is wrong, each with the setting's name.
func (c Config) Validate() error {
	var errs []error
	between := func(name string, v, low, high int) {
		if v < low || v > high {
			errs = append(errs, fmt.Errorf("%s is %d: %d to %d are allowed", name, v, low, high))
		}
	}
	between("upgrades_per_second_max", c.UpgradesPerSecondMax, 1, 10_000_000)
	between("upgrades_burst", c.UpgradesBurst, 1, 10_000_000)
	between("pool_workers", c.PoolWorkers, 1, 1024)
	between("pool_queue", c.PoolQueue, 1, 1<<20)
	between("message_rate", c.MessageRate, 1, 1_000_000)
	between("message_burst", c.MessageBurst, 1, 1_000_000)
	between("strikes_max", c.StrikesMax, 1, 250)
	between("devices_max", c.DevicesMax, 1, 10000)
	duration := func(name string, d, low, high time.Duration) {
		if d < low || d > high {
			errs = append(errs, fmt.Errorf("%s is %v: %v to %v are allowed", name, d, low, high))
		}
	}
	duration("lifetime_min", c.LifetimeMin, time.Second, 1000*time.Hour)
	duration("lifetime_max", c.LifetimeMax, c.LifetimeMin, 1000*time.Hour)
	duration("lifetime_grace", c.LifetimeGrace, time.Second, time.Hour)
	duration("reconnect_max", c.ReconnectMax, time.Millisecond, time.Hour)
	for _, o := range c.Origins {
		if o != "*" && (!strings.Contains(o, "://") || strings.HasSuffix(o, "/") || strings.Count(o, "*") > 1) {
			errs = append(errs, fmt.Errorf("origins has %q: write scheme://host[:port] as browsers send it, with at most one * for a subdomain, or * alone", o))
		}
	}
	return errors.Join(errs...)
}

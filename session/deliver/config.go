package deliver

import "fmt"

// Config holds the limits of delivery. It is read once, by NewRouter.
type Config struct {
	PayloadBytesMax   int `yaml:"payload_bytes_max" doc:"size of a payload that is put on a socket; at least what services and devices may send (PROTOCOL.md section 0: 1 MiB). Larger ones are too_large"`
	AcksMax           int `yaml:"acks_max" doc:"device acks awaited at one moment; each holds some 100 bytes, so 200,000 hold about 20 MB. Above it wait=acked is overloaded at once"`
	OutcomesListedMax int `yaml:"outcomes_listed_max" doc:"devices of one push whose outcomes are listed one by one (PROTOCOL.md section 0: 1,000); all are counted"`
	InFlightMax       int `yaml:"in_flight_max" doc:"sends of one push that may be on their way at one moment: of a node, for each of its event loops; 256 keep a loop busy for some 3 ms, which is how long another push waits behind them. More addressees than that are paced"`
	FanOutMax         int `yaml:"fan_out_max" doc:"sends that may be on their way at one moment of all pushes to topics and to everybody together, each counting up to in_flight_max; 131,072 are about a second of a loop's time, and leave most of netpoll.outbox_sends to pushes to devices. Above it a push to many is overloaded"`
	SeekingMax        int `yaml:"seeking_max" doc:"pushes that wait, up to 150 ms each, for the table to learn where a device has gone that was connected a moment ago; above it they are offline at once"`
	TakenMax          int `yaml:"taken_max" doc:"pushes from other nodes that are being delivered here at one moment; each holds its payload until its outcome is known. Above it they are overloaded"`
	PacedMax          int `yaml:"paced_max" doc:"addressees of all pushes that are being paced at one moment, 16 bytes each, so 4,194,304 hold 64 MiB; one push alone may have more. Above it pushes are overloaded"`
}

// Default returns the configuration of a node that nobody configured.
func Default() Config {
	return Config{
		PayloadBytesMax:   1 << 20,
		AcksMax:           200_000,
		OutcomesListedMax: 1000,
		InFlightMax:       256,
		FanOutMax:         128 << 10,
		SeekingMax:        20_000,
		TakenMax:          200_000,
		PacedMax:          4 << 20,
	}
}

// Validate reports the first value that cannot be.
func (c Config) Validate() error {
	for _, limit := range [...]struct {
		name     string
		value    int
		min, max int
	}{
		{"payload_bytes_max", c.PayloadBytesMax, 1, 64 << 20},
		{"acks_max", c.AcksMax, 1, 1 << 30},
		{"outcomes_listed_max", c.OutcomesListedMax, 1, 1 << 20},
		{"in_flight_max", c.InFlightMax, 2, 1 << 20},
		{"fan_out_max", c.FanOutMax, c.InFlightMax, 1 << 24},
		{"seeking_max", c.SeekingMax, 1, 1 << 24},
		{"taken_max", c.TakenMax, 1, 1 << 24},
		{"paced_max", c.PacedMax, 1, 1 << 30},
	} {
		if limit.value < limit.min || limit.value > limit.max {
			return fmt.Errorf("deliver: %s is %d: it must be %d to %d", limit.name, limit.value, limit.min, limit.max)
		}
	}
	return nil
}

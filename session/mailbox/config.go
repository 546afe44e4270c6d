package mailbox

import "fmt"

// Config holds the limits of the mailbox. It is read once, by New.
type Config struct {
	MessagesMax       int `yaml:"messages_max" doc:"messages that wait on this node for all devices together, count; each costs about 100 bytes of memory, so 4,000,000 are some 400 MB. Above it a push is overloaded"`
	BytesMax          int `yaml:"bytes_max" doc:"payloads of those together, bytes; they are on disk, where store.mail_bytes_max must have room for more. After a restart a payload counts from when its device is looked at. Above it a push is overloaded"`
	DeviceMessagesMax int `yaml:"device_messages_max" doc:"messages that wait for one device, count; more than a person would read. Above it a push is overloaded, unless it replaces one with its collapse key"`
	DeviceBytesMax    int `yaml:"device_bytes_max" doc:"payloads that wait for one device, bytes; at least the largest payload that is accepted, which is 1 MiB by default. Above it a push is overloaded"`
	AccountDevicesMax int `yaml:"account_devices_max" doc:"devices of one push to an account, count; it is synced as one promise and answered device by device. Above it the push is overloaded"`
	PendingMax        int `yaml:"pending_max" doc:"pushes that are being stored, or wait for the list of their account's devices, count; each holds its payload. Above it a push is overloaded"`
	PendingBytesMax   int `yaml:"pending_bytes_max" doc:"payloads of those together, bytes; at least device_bytes_max"`

	WindowMessages   int `yaml:"window_messages" doc:"messages on their way to one device or waiting for its ack while more wait behind them, count; 128 keep a connection busy for a round trip of 100 ms at 1,000 a second"`
	WindowBytes      int `yaml:"window_bytes" doc:"payloads of those together, bytes; a larger message goes alone"`
	WindowPatienceMS int `yaml:"window_patience_ms" doc:"time after which a message that a device has and does not acknowledge stops counting against that window, milliseconds; event streams acknowledge nothing before they come back"`
	Workers          int `yaml:"workers" doc:"goroutines that read the store, count; as many devices are drained at one time"`
	ListsMax         int `yaml:"lists_max" doc:"lists of an account's devices that are asked for at one time, count; each is a goroutine, some 8 KB, that waits for other nodes. One that does not answer in its 2 s holds up that many pushes to accounts it may know devices of, and no others"`
	EarlyAcksMax     int `yaml:"early_acks_max" doc:"acks of one device kept after a start until its mailbox was read, count; above it they are refused, and the messages come again"`

	MissedMax       int `yaml:"missed_max" doc:"devices that came soon after a start, before the node knows who waits for what, and whose messages are being read so that their greeting says how many there are, count; above it a greeting says what is known"`
	MissedTimeoutMS int `yaml:"missed_timeout_ms" doc:"time in which that must be read, milliseconds; then the same"`

	IdempotencyAgeMS   int `yaml:"idempotency_age_ms" doc:"time in which a second push with the idempotency key of one that is kept gets that one's id, also through another node and after a restart, milliseconds; at most store.outcome_retention, in which that one's outcomes can be told"`
	IdempotencyKeysMax int `yaml:"idempotency_keys_max" doc:"keys remembered for that, in memory (some 130 bytes each) and on disk, count; the oldest goes first, and a push that comes again with it is kept again"`

	RetryMinMS int `yaml:"retry_min_ms" doc:"pause before a device is tried again that was there but could not take a message, milliseconds; doubles up to retry_max_ms, and is spread by half"`
	RetryMaxMS int `yaml:"retry_max_ms" doc:"longest such pause, milliseconds"`
}

// Default returns the configuration of a node that nobody configured.
func Default() Config {
	return Config{
		MessagesMax:       4_000_000,
		BytesMax:          6 << 30,
		DeviceMessagesMax: 1000,
		DeviceBytesMax:    8 << 20,
		AccountDevicesMax: 1000,
		PendingMax:        100_000,
		PendingBytesMax:   256 << 20,
		WindowMessages:    128,
		WindowBytes:       256 << 10,
		WindowPatienceMS:  5000,
		Workers:           4,
		ListsMax:          1024,
		EarlyAcksMax:      1000,
		MissedMax:         10_000,
		MissedTimeoutMS:   1000,
		IdempotencyAgeMS:  3_600_000,

		IdempotencyKeysMax: 200_000,

		RetryMinMS: 250,
		RetryMaxMS: 30_000,
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
		{"messages_max", c.MessagesMax, 1, 1 << 30},
		{"bytes_max", c.BytesMax, 1, 1 << 50},
		{"device_messages_max", c.DeviceMessagesMax, 1, 1 << 20},
		{"device_bytes_max", c.DeviceBytesMax, 1, 1 << 31},
		{"account_devices_max", c.AccountDevicesMax, 1, 1 << 16},
		{"pending_max", c.PendingMax, 1, 1 << 24},
		{"pending_bytes_max", c.PendingBytesMax, 1, 1 << 40},
		{"window_messages", c.WindowMessages, 1, 1 << 16},
		{"window_bytes", c.WindowBytes, 1, 1 << 30},
		{"window_patience_ms", c.WindowPatienceMS, 10, hour},
		{"workers", c.Workers, 1, 1 << 10},
		{"lists_max", c.ListsMax, 1, 1 << 16},
		{"early_acks_max", c.EarlyAcksMax, 1, 1 << 20},
		{"missed_max", c.MissedMax, 1, 1 << 20},
		{"missed_timeout_ms", c.MissedTimeoutMS, 10, 60_000},
		{"idempotency_age_ms", c.IdempotencyAgeMS, 1000, 24 * hour},
		{"idempotency_keys_max", c.IdempotencyKeysMax, 1, 1 << 26},
		{"retry_min_ms", c.RetryMinMS, 10, hour},
		{"retry_max_ms", c.RetryMaxMS, 10, 24 * hour},
	} {
		if limit.value < limit.min || limit.value > limit.max {
			return fmt.Errorf("mailbox: %s is %d: it must be %d to %d", limit.name, limit.value, limit.min, limit.max)
		}
	}
	switch {
	case c.DeviceMessagesMax > c.MessagesMax:
		return fmt.Errorf("mailbox: device_messages_max is %d: it must be at most messages_max, which is %d", c.DeviceMessagesMax, c.MessagesMax)
	case c.DeviceBytesMax > c.BytesMax:
		return fmt.Errorf("mailbox: device_bytes_max is %d: it must be at most bytes_max, which is %d", c.DeviceBytesMax, c.BytesMax)
	case c.PendingBytesMax < c.DeviceBytesMax:
		return fmt.Errorf("mailbox: pending_bytes_max is %d: it must be at least device_bytes_max, which is %d", c.PendingBytesMax, c.DeviceBytesMax)
	case c.RetryMaxMS < c.RetryMinMS:
		return fmt.Errorf("mailbox: retry_max_ms is %d: it must be at least retry_min_ms, which is %d", c.RetryMaxMS, c.RetryMinMS)
	}
	return nil
}

package kafka

import (
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// complaints logs each kind of trouble at most once in a while: a broker that is away
// says so many times a second. Any goroutine may call it.
type complaints struct {
	log   *slog.Logger
	every time.Duration

	mu   sync.Mutex
	last map[string]time.Time
}

// kindsMax bounds the kinds that are remembered; when there are more, all may be logged
// once more.
const kindsMax = 256

func newComplaints(log *slog.Logger, every time.Duration) *complaints {
	return &complaints{log: log, every: every, last: map[string]time.Time{}}
}

// warn logs, unless it did so for this kind lately.
func (c *complaints) warn(kind, message string, args ...any) {
	if c.due(kind) {
		c.log.Warn(message, args...)
	}
}

func (c *complaints) due(kind string) bool {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if last, ok := c.last[kind]; ok && now.Sub(last) < c.every {
		return false
	}
	if len(c.last) >= kindsMax {
		clear(c.last)
	}
	c.last[kind] = now
	return true
}

// clientLog lets the client speak through complaints: its warnings as warnings, the rest
// for those who look for it.
type clientLog struct{ *complaints }

// Level says what the client should mention at all.
func (c clientLog) Level() kgo.LogLevel { return kgo.LogLevelInfo }

// Log logs what the client says.
func (c clientLog) Log(level kgo.LogLevel, message string, args ...any) {
	if level > kgo.LogLevelWarn {
		c.log.Debug("kafka: "+message, args...)
		return
	}
	c.warn("client "+message, "kafka: "+message, args...)
}

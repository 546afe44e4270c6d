package jetstream

import (
	"log/slog"
	"sync"
	"time"
)

// complaints logs each kind of trouble at most once in a while: a server that is away
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

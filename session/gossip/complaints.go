package gossip

import (
	"context"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"
)

// repeats lets the same thing be logged once in a while. Strangers choose what is
// logged here, so it remembers a bounded number of things.
type repeats struct {
	every time.Duration

	mu   sync.Mutex
	last map[string]time.Time
}

const repeatsMax = 512

// due reports whether what has that key is to be logged now.
func (r *repeats) due(key string) bool {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if at, known := r.last[key]; known && now.Sub(at) < r.every {
		return false
	}
	if len(r.last) >= repeatsMax {
		maps.DeleteFunc(r.last, func(_ string, at time.Time) bool { return now.Sub(at) >= r.every })
		if len(r.last) >= repeatsMax {
			return false // whoever says this much is not worth more lines
		}
	}
	if r.last == nil {
		r.last = make(map[string]time.Time)
	}
	r.last[key] = now
	return true
}

// complaints is the writer under the *log.Logger that memberlist gets. Joins, losses
// and refusals we log ourselves, so of its lines only errors and warnings are of
// interest, and of those one of a kind in a while: garbage on the port brings one each.
type complaints struct {
	log    *slog.Logger
	count  *counters
	repeat *repeats
}

// Write takes one line, "[ERR] memberlist: what: details".
func (c *complaints) Write(line []byte) (int, error) {
	level, text := slog.LevelDebug, strings.TrimSpace(string(line))
	if tag, rest, found := strings.Cut(text, "] "); found {
		switch tag {
		case "[ERR", "[ERROR":
			level = slog.LevelWarn
		case "[WARN":
			level = slog.LevelInfo
		}
		text = strings.TrimPrefix(rest, "memberlist: ")
	}
	if level > slog.LevelDebug {
		c.count.complaints.Add(1)
		if !c.repeat.due(kindOf(text)) {
			return len(line), nil
		}
	}
	if c.log.Enabled(context.Background(), level) {
		c.log.Log(context.Background(), level, "memberlist: "+text)
	}
	return len(line), nil
}

// kindOf returns the part of a line that is the same the next time: its first words,
// without what is quoted or numbered.
func kindOf(text string) string {
	text = text[:min(len(text), 48)]
	if end := strings.IndexAny(text, ":'\"(0123456789"); end > 0 {
		text = text[:end]
	}
	return text
}

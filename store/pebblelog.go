package store

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// pebbleLog passes what Pebble says to slog: chatter at debug, each error once in
// a row, and a fatal error to the store, which fails instead of the process.
type pebbleLog struct {
	log  *slog.Logger
	fail func(reason string) // never returns

	mu   sync.Mutex
	last string
}

// Infof logs at debug level.
func (l *pebbleLog) Infof(format string, args ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug("pebble: " + fmt.Sprintf(format, args...))
	}
}

// Errorf logs an error unless it is the one that was logged last.
func (l *pebbleLog) Errorf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	l.mu.Lock()
	repeated := text == l.last
	l.last = text
	l.mu.Unlock()
	if !repeated {
		l.log.Error("pebble: " + text)
	}
}

// Fatalf ends the store, not the process, and never returns: what Pebble runs
// after a fatal error counts on that.
func (l *pebbleLog) Fatalf(format string, args ...any) {
	l.fail("pebble: " + fmt.Sprintf(format, args...))
}

// listener feeds the events of the Pebble whose trouble that is into health and the
// counters. Some hooks run with Pebble's mutex held, so none may call back into it. repair
// says what to do when a file of it is damaged.
func (s *Store) listener(log *pebbleLog, t *trouble, repair string) *pebble.EventListener {
	recovered := func(err error) {
		if err == nil {
			s.health.note(func(*health) { t.background = "" })
		}
	}
	return &pebble.EventListener{
		BackgroundError: func(err error) {
			log.Errorf("background error: %v", err)
			s.counts.backgroundErrors.Add(1)
			s.health.note(func(*health) { t.background = err.Error() })
		},
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			log.Errorf("corruption: %s: %v", info.Path, info.Details)
			s.health.note(func(*health) { t.damaged = fmt.Sprintf("%s: %v; %s", info.Path, info.Details, repair) })
		},
		FlushEnd:      func(info pebble.FlushInfo) { recovered(info.Err) },
		CompactionEnd: func(info pebble.CompactionInfo) { recovered(info.Err) },
		WriteStallBegin: func(info pebble.WriteStallBeginInfo) {
			s.counts.stalls.Add(1)
			s.health.note(func(h *health) { h.stall, h.stallSince = info.Reason, time.Now() })
			go s.compacting[0].begin() // Pebble holds a mutex that it takes
		},
		PossibleAPIMisuse: func(info pebble.PossibleAPIMisuseInfo) {
			if info.Kind == pebble.NondeterministicSingleDelete {
				log.Errorf("%v", info)
				s.mail.count.repeated.Add(1)
			}
		},
		WriteStallEnd: func() { s.health.note(func(h *health) { h.stall = "" }) },
	}
}

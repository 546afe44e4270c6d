package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	client "github.com/redis/go-redis/v9"

	"github.com/roostpush/roost/session"
)

// The errors with which Post refuses.
var (
	// ErrFull says that a limit is reached: the queue's, or the server's memory.
	ErrFull = errors.New("redis: full")
	// ErrClosed says that the store is closed. What was in the queue when Close gave up may
	// be on the server or not.
	ErrClosed = errors.New("redis: closed")
)

// Store keeps messages in Redis, as mailbox.Store says. Any goroutine may call any method.
type Store struct {
	cfg    Config
	redis  *client.Client
	prefix string // of all keys
	more   chan struct{}
	ctx    context.Context // of all calls; ended by Close
	end    context.CancelFunc
	ended  chan struct{} // the writer has

	mu      sync.Mutex
	waiting []entry
	queued  int // messages and outcomes in waiting
	bytes   int // payloads in waiting
	closing bool
	failed  string // why the server has not taken the last transaction; empty: it has

	count counters
}

// entry is one thing for the server to do, with bytes of its own.
type entry struct {
	list []session.Kept // a promise to make, or
	done func(error)

	address session.Address // an outcome to note
	id      session.ID
	outcome session.Outcome
	atMS    int64
	noted   bool // of a device that the message is not kept for

	keys   []session.FiledKey // idempotency keys to keep, beside the promise or alone
	forget session.Key        // one to forget; zero: none

	bytes int
}

// weight is how many messages or outcomes the entry is.
func (e *entry) weight() int { return max(len(e.list), len(e.keys), 1) }

// Open connects to the server and looks whether it keeps what it is given. node is whose
// messages these are. It blocks for Config.CallTimeout at most.
func Open(cfg Config, node string) (*Store, error) {
	if err := session.CheckNode(node); err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	c, err := cfg.connect()
	if err != nil {
		return nil, err
	}
	s := &Store{
		cfg: cfg, redis: c, prefix: cfg.Prefix + ":" + node + ":",
		more: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	s.ctx, s.end = context.WithCancel(context.Background())
	if err := s.checkServer(); err != nil {
		s.end()
		_ = c.Close()
		return nil, err
	}
	go s.write()
	return s, nil
}

// checkServer refuses a server that may lose what it has answered.
func (s *Store) checkServer() error {
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.CallTimeout)
	defer cancel()
	err := s.redis.Ping(ctx).Err()
	for err != nil && strings.HasPrefix(err.Error(), "LOADING ") && ctx.Err() == nil { // it has just begun
		time.Sleep(s.cfg.RetryInterval)
		err = s.redis.Ping(ctx).Err()
	}
	if err != nil {
		return fmt.Errorf("redis: %s does not answer: %w", s.redis.Options().Addr, err)
	}
	if s.cfg.Durability == DurabilityTrusted {
		return nil
	}
	for _, want := range [...][2]string{{"appendonly", "yes"}, {"appendfsync", "always"}, {"maxmemory-policy", "noeviction"}} {
		got, err := s.redis.ConfigGet(ctx, want[0]).Result()
		if err != nil {
			return fmt.Errorf("redis: the server does not tell its %s: %w; if it keeps what it answers, set durability to trusted", want[0], err)
		}
		if got[want[0]] != want[1] {
			return fmt.Errorf("redis: the server's %s is %q, so that it may lose messages: set it to %s, or durability to trusted", want[0], got[want[0]], want[1])
		}
	}
	return nil
}

// Close writes what is in the queue, for Config.CloseTimeout at most, and ends the store.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	s.wake()
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.CloseTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, s.end)
	<-s.ended
	stop()
	s.end()
	return s.redis.Close()
}

// LastEpoch returns the highest epoch that the node has begun with here; 0: none. It blocks
// for Config.CallTimeout at most.
func (s *Store) LastEpoch() (uint64, error) {
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.CallTimeout)
	defer cancel()
	epoch, err := s.redis.Get(ctx, s.prefix+"epoch").Uint64()
	if err != nil && !errors.Is(err, client.Nil) {
		return 0, fmt.Errorf("redis: the node's last epoch: %w", err)
	}
	return epoch, nil
}

// Begin notes the epoch of this process, so that one with a new disk does not give ids again
// under which messages wait here. It comes before the first Post and blocks like LastEpoch.
func (s *Store) Begin(epoch uint64) error {
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.CallTimeout)
	defer cancel()
	if err := s.redis.Set(ctx, s.prefix+"epoch", epoch, 0).Err(); err != nil {
		return fmt.Errorf("redis: the node's epoch was not noted: %w", err)
	}
	return nil
}

// Health says what keeps the store from making promises; empty: nothing.
func (s *Store) Health() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// wake has the writer look at the queue.
func (s *Store) wake() {
	select {
	case s.more <- struct{}{}:
	default:
	}
}

// deviceKey returns the key of that kind for the device.
func (s *Store) deviceKey(kind string, a session.Address) string {
	return s.prefix + kind + ":" + a.String()
}

func (s *Store) fateKey(id session.ID) string { return s.prefix + "fate:" + id.Text() }

// Stats is what a store has counted since it was made, by the names under which it is
// published.
type Stats struct {
	Posted   uint64 `metric:"roost_mailbox_redis_posted_total" doc:"messages that the server has"`
	Settled  uint64 `metric:"roost_mailbox_redis_settled_total" doc:"outcomes that the server has"`
	Groups   uint64 `metric:"roost_mailbox_redis_groups_total" doc:"transactions, each of them everything that waited"`
	Repeated uint64 `metric:"roost_mailbox_redis_repeated_total" doc:"transactions sent again because the server did not answer, or not with success"`
	Refused  uint64 `metric:"roost_mailbox_redis_refused_total" doc:"pushes refused, because the queue or the server was full or the store closed"`
	Dropped  uint64 `metric:"roost_mailbox_redis_outcomes_dropped_total" doc:"outcomes that came when the store was closing, or that it had no time left for: those messages come back with the next start"`
	Garbage  uint64 `metric:"roost_mailbox_redis_garbage_total" doc:"what was found on the server and is no message of this version; it is left there"`
	Waiting  uint64 `metric:"roost_mailbox_redis_waiting" doc:"messages and outcomes that wait for the server now"`
}

type counters struct{ posted, settled, groups, repeated, refused, dropped, garbage atomic.Uint64 }

// Stats returns the counters. Each is exact; together they are not of one moment.
func (s *Store) Stats() Stats {
	c := &s.count
	s.mu.Lock()
	waiting := s.queued
	s.mu.Unlock()
	return Stats{
		Posted: c.posted.Load(), Settled: c.settled.Load(), Groups: c.groups.Load(), Repeated: c.repeated.Load(),
		Refused: c.refused.Load(), Dropped: c.dropped.Load(), Garbage: c.garbage.Load(), Waiting: uint64(waiting),
	}
}

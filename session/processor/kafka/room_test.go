package kafka

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/processor"
	"github.com/roostpush/roost/session/processor/processortest"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestBriefWantOfRoomPausesNothing has lanes and windows be full all the time, and have room
// again and again: nothing is paused, so that nothing is fetched in vain.
func TestBriefWantOfRoomPausesNothing(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Config)
	}{
		{"lane", func(c *Config) { c.HeldMax, c.WindowMax = 60, 10_000 }},
		{"lane's bytes", func(c *Config) { c.HeldBytesMax, c.WindowMax = 4<<10, 10_000 }},
		{"window", func(c *Config) { c.HeldMax, c.WindowMax = 10_000, 100 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBroker(t)
			low, high, g := b.topic(t, 2), b.topic(t, 1), group()
			const n = 500
			b.produce(t, low, 2, 0, n)
			b.produce(t, high, 1, 0, n)
			s := processortest.New(processortest.Never)
			s.Limit(session.PriorityLow, 20)
			cfg := b.config(g)
			cfg.HighTopics, cfg.LowTopics = []string{high}, []string{low}
			cfg.PollMax, cfg.PauseAfter = 50, 10*time.Second
			c.change(&cfg)
			r := run(t, cfg, s)
			eventually(t, "all are committed", func() bool {
				s.Release(processortest.Some, *processortest.Written())
				return slices.Equal(b.committed(t, g, low, 2), []int64{n, n}) && b.committed(t, g, high, 1)[0] == n
			})
			if st := r.Stats(); st.PartitionPauses != 0 || st.LanePauses != (processor.ByLane{}) {
				t.Errorf("%d partitions were paused, and lanes %v", st.PartitionPauses, st.LanePauses)
			}
		})
	}
}

// TestLaneAloneIsNotPaused fills the only lane for longer than pause_after: it is waited
// for, since there is no other to make way for, and a partition may go meanwhile.
func TestLaneAloneIsNotPaused(t *testing.T) {
	b := newBroker(t)
	const partitions, n = 2, 300
	topic, g := b.topic(t, partitions), group()
	b.produce(t, topic, partitions, 0, n)
	one, two := processortest.New(processortest.Never), processortest.New(processortest.Always)
	one.Limit(session.PriorityNormal, 1)
	c := b.config(g, topic)
	c.HeldMax, c.PollMax, c.PauseAfter, c.RevokeTimeout = 40, 20, time.Millisecond, 100*time.Millisecond
	first := run(t, c, one)
	eventually(t, "the lane is full", func() bool { return first.Stats().Held[session.PriorityNormal] >= 39 }) // and one is in work
	run(t, c, two)
	eventually(t, "the other member has done one partition", func() bool {
		return slices.Max(b.committed(t, g, topic, partitions)) == n
	})
	if st := first.Stats(); st.LanePauses != (processor.ByLane{}) || st.Partitions != 1 {
		t.Errorf("lanes paused: %v; %d partitions left, want 1", st.LanePauses, st.Partitions)
	}
	one.Limit(session.PriorityNormal, 0)
	eventually(t, "all are committed", func() bool {
		one.Release(processortest.Everything, *processortest.Written())
		return slices.Equal(b.committed(t, g, topic, partitions), slices.Repeat([]int64{n}, partitions))
	})
}

// keeper takes every record and keeps it until release.
type keeper struct {
	processor.Sink
	mu   sync.Mutex
	kept []*processor.Record
	done map[*processor.Record]func(processor.Result)
}

func (k *keeper) Take(r *processor.Record, done func(processor.Result)) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kept = append(k.kept, r)
	k.done[r] = done
	return true
}

// release looks at a third of what is kept, in any order, and has it be written.
func (k *keeper) release(look func(*processor.Record)) {
	k.mu.Lock()
	rand.Shuffle(len(k.kept), func(i, j int) { k.kept[i], k.kept[j] = k.kept[j], k.kept[i] })
	some := slices.Clone(k.kept[:(len(k.kept)+2)/3])
	k.kept = k.kept[len(some):]
	k.mu.Unlock()
	for _, r := range some {
		look(r)
		k.mu.Lock()
		done := k.done[r]
		delete(k.done, r)
		k.mu.Unlock()
		done(*processortest.Written())
	}
}

// TestMemoryIsNotUsedTooEarly looks at records of batches of all sizes only when their
// result comes, in any order: each is as it was produced, though the memory of others has
// been used again by then.
func TestMemoryIsNotUsedTooEarly(t *testing.T) {
	b := newBroker(t)
	const n = 3000
	topic, g := b.topic(t, 1), group()
	payload := func(id string) string { return strings.Repeat(id, 1+len(id)%5) }
	k := &keeper{Sink: processortest.New(processortest.Always), done: map[*processor.Record]func(processor.Result){}}
	c := b.config(g, topic)
	c.PollMax = 100
	run(t, c, k)
	looked := 0
	look := func(r *processor.Record) {
		if looked++; string(r.Payload) != payload(r.ID) || r.Account != "account-"+r.ID {
			t.Fatalf("the record %q of %q is %.100q", r.ID, r.Account, r.Payload)
		}
	}
	for from := 0; from < n; {
		var batch []*kgo.Record
		for size := 1 + from%97; size > 0 && from < n; size-- {
			id := fmt.Sprint(from * from)
			batch = append(batch, &kgo.Record{Topic: topic, Value: []byte(payload(id)), Headers: headers("roost-account", "account-"+id, "roost-id", id)})
			from++
		}
		b.send(t, batch...)
		k.release(look)
	}
	eventually(t, "all are committed", func() bool { k.release(look); return b.committed(t, g, topic, 1)[0] == n })
	if looked != n {
		t.Errorf("%d records of %d were looked at", looked, n)
	}
}

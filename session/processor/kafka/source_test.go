package kafka

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/processor"
	"github.com/roostpush/roost/session/processor/processortest"
	"github.com/twmb/franz-go/pkg/kgo"
)

// place reads the id of a record made by produce.
func place(t *testing.T, id string) (partition, number int) {
	t.Helper()
	parts := strings.Split(id, "/")
	if len(parts) != 3 {
		t.Fatalf("the id %q is not topic/partition/number", id)
	}
	partition, _ = strconv.Atoi(parts[1])
	number, _ = strconv.Atoi(parts[2])
	return partition, number
}

// TestFinal is the plain walk: every record is pushed in the order of its partition,
// reported, and committed.
func TestFinal(t *testing.T) {
	b := newBroker(t)
	topic, results, g := b.topic(t, 3), b.topic(t, 1), group()
	b.produce(t, topic, 3, 0, 100)
	c := b.config(g, topic)
	c.ResultsTopic = results
	s := processortest.New(processortest.Always)
	r := run(t, c, s)
	eventually(t, "all are committed", func() bool {
		return slices.Equal(b.committed(t, g, topic, 3), []int64{100, 100, 100})
	})
	next := [3]int{}
	for _, id := range s.Taken() {
		p, n := place(t, id)
		if n != next[p] {
			t.Fatalf("partition %d: record %d came when %d was due", p, n, next[p])
		}
		next[p]++
	}
	keys := map[uint64]bool{}
	for _, key := range s.Keys() {
		keys[key] = true
	}
	if len(keys) != 3 || keys[0] {
		t.Errorf("9 devices of 3 accounts have the keys %v", s.Keys())
	}
	st := r.Stats()
	if st.Final != 300 || st.Taken[session.PriorityNormal] != 300 || st.Outcomes[session.Written] != 300 || st.Results != 300 || st.Partitions != 3 {
		t.Errorf("counted %+v", st)
	}
	eventually(t, "the lag is 0", func() bool { return r.Stats().Lag == processor.ByLane{} })
	seen := map[string]bool{}
	for _, m := range b.read(t, results, 300) {
		var o outcome
		if err := json.Unmarshal(m.Value, &o); err != nil {
			t.Fatal(err)
		}
		if string(m.Key) != o.ID || o.Outcomes["written"] != 1 || o.Source != topic || o.Account == "" || o.Device == "" || o.AtMS == 0 {
			t.Fatalf("a result reads %s", m.Value)
		}
		seen[o.ID] = true
	}
	if len(seen) != 300 {
		t.Errorf("%d results, want 300", len(seen))
	}
	r.stop()
	if st := r.Stats(); st.Partitions != 0 || st.InWork != 0 || st.GivenUp != 0 {
		t.Errorf("after the end: %+v", st)
	}
}

// TestCommitWaits holds one record back: nothing is committed beyond it, and the lag
// counts from it.
func TestCommitWaits(t *testing.T) {
	b := newBroker(t)
	topic, g := b.topic(t, 1), group()
	b.produce(t, topic, 1, 0, 50)
	slow := topic + "/0/20"
	s := processortest.New(func(r *processor.Record) *processor.Result {
		if r.ID == slow {
			return nil
		}
		return processortest.Written()
	})
	r := run(t, b.config(g, topic), s)
	eventually(t, "all others are final", func() bool { final, kept := s.Count(); return final == 49 && kept == 1 })
	eventually(t, "it is committed up to the slow one", func() bool { return b.committed(t, g, topic, 1)[0] == 20 })
	eventually(t, "the source has heard of that", func() bool {
		_, due := r.assigned()[0].due()
		return !due
	})
	commits := r.Stats().Commits
	b.produce(t, topic, 1, 50, 1)
	eventually(t, "one more is final", func() bool { final, _ := s.Count(); return final == 50 })
	if at := b.committed(t, g, topic, 1)[0]; at != 20 {
		t.Errorf("committed %d beyond the unfinished 20", at)
	}
	eventually(t, "the lag says what waits", func() bool { return r.Stats().Lag[session.PriorityNormal] == 31 })
	if st := r.Stats(); st.LagMax[session.PriorityNormal] != 31 || st.InWork != 1 || st.Commits != commits {
		t.Errorf("counted %+v, want a lag of 31, 1 in work and %d commits", st, commits)
	}
	s.Release(processortest.Everything, *processortest.Written())
	eventually(t, "all are committed", func() bool { return b.committed(t, g, topic, 1)[0] == 51 })
}

// TestGivenUp leaves a record that the sink gives up uncommitted: it comes again.
func TestGivenUp(t *testing.T) {
	b := newBroker(t)
	topic, g := b.topic(t, 1), group()
	b.produce(t, topic, 1, 0, 10)
	s := processortest.New(func(r *processor.Record) *processor.Result {
		if strings.HasSuffix(r.ID, "/4") {
			return &processor.Result{GivenUp: true}
		}
		return processortest.Written()
	})
	r := run(t, b.config(g, topic), s)
	eventually(t, "all but one are final", func() bool { final, _ := s.Count(); return final == 9 })
	r.stop()
	if at := b.committed(t, g, topic, 1)[0]; at != 4 {
		t.Fatalf("committed %d, want 4", at)
	}
	s = processortest.New(processortest.Always)
	run(t, b.config(g, topic), s)
	eventually(t, "the rest is committed", func() bool { return b.committed(t, g, topic, 1)[0] == 10 })
	if got := s.Taken(); len(got) != 6 || !strings.HasSuffix(got[0], "/4") {
		t.Errorf("the second run took %v", got)
	}
}

// TestPoison sends what can never succeed to the dead letters, some by its headers and
// some by the sink's word, and goes on behind it.
func TestPoison(t *testing.T) {
	b := newBroker(t)
	topic, dead, results, g := b.topic(t, 1), b.topic(t, 1), b.topic(t, 1), group()
	good := headers("roost-account", "a", "roost-device", "d", "roost-id", "good")
	b.send(t,
		&kgo.Record{Topic: topic, Key: []byte("k"), Value: []byte("x"), Headers: headers("roost-device", "d")},
		&kgo.Record{Topic: topic, Value: []byte("x"), Headers: headers("roost-account", "a", "roost-ttl-ms", "-1")},
		&kgo.Record{Topic: topic, Value: []byte("{"), Headers: headers("roost-account", "a", "content-type", "application/json")},
		&kgo.Record{Topic: topic, Value: []byte("y"), Headers: headers("roost-account", "a", "roost-id", "poison")},
		&kgo.Record{Topic: topic, Value: []byte("x"), Headers: good},
	)
	c := b.config(g, topic)
	c.DeadLetterTopic, c.ResultsTopic = dead, results
	s := processortest.New(func(r *processor.Record) *processor.Result {
		if r.ID == "poison" {
			return &processor.Result{Reject: &processor.Reject{Code: processor.CodePayloadTooLarge, Detail: "too large for the sink"}}
		}
		return processortest.Written()
	})
	r := run(t, c, s)
	eventually(t, "all are committed", func() bool { return b.committed(t, g, topic, 1)[0] == 5 })
	if !s.IsFinal("good") {
		t.Error("the good one was not pushed")
	}
	want := []string{processor.CodeAddressMissing, processor.CodeTTLInvalid, processor.CodePayloadInvalid, processor.CodePayloadTooLarge}
	for i, m := range b.read(t, dead, 4) {
		h := map[string]string{}
		for _, header := range m.Headers {
			h[header.Key] = string(header.Value)
		}
		if h[processor.HeaderErrorCode] != want[i] || h[processor.HeaderErrorDetail] == "" || h[headerTopic] != topic || h[headerPartition] != "0" || h[headerOffset] != fmt.Sprint(i) {
			t.Errorf("letter %d has the headers %v, want the code %s", i, h, want[i])
		}
		if i == 0 && (string(m.Key) != "k" || string(m.Value) != "x" || h["roost-device"] != "d") {
			t.Errorf("a letter is not as its record came: %q %q %v", m.Key, m.Value, h)
		}
	}
	codes := 0
	for _, m := range b.read(t, results, 5) {
		if strings.Contains(string(m.Value), `"code":"`) {
			codes++
		}
	}
	if st := r.Stats(); codes != 4 || st.Rejected != 4 || st.DeadLetters != 4 || st.Results != 5 || st.DeadDropped != 0 {
		t.Errorf("%d results have a code; counted %+v", codes, st)
	}
}

// TestPoisonWithoutLetters drops and counts what can never succeed.
func TestPoisonWithoutLetters(t *testing.T) {
	b := newBroker(t)
	topic, g := b.topic(t, 1), group()
	b.send(t, &kgo.Record{Topic: topic, Value: []byte("x")})
	r := run(t, b.config(g, topic), processortest.New(processortest.Always))
	eventually(t, "it is committed", func() bool { return b.committed(t, g, topic, 1)[0] == 1 })
	if st := r.Stats(); st.Rejected != 1 || st.DeadDropped != 1 {
		t.Errorf("counted %+v", st)
	}
}

// TestBackpressure fills the low lane of the sink: what is held and fetched stays
// bounded, and records of high priority pass all the same.
func TestBackpressure(t *testing.T) {
	b := newBroker(t)
	high, low, g := b.topic(t, 1), b.topic(t, 2), group()
	b.produce(t, low, 2, 0, 2000)
	s := processortest.New(func(r *processor.Record) *processor.Result {
		if r.Priority == session.PriorityHigh {
			return processortest.Written()
		}
		return nil
	})
	s.Limit(session.PriorityLow, 10)
	c := b.config(g)
	c.HighTopics, c.LowTopics = []string{high}, []string{low}
	c.HeldMax, c.PollMax = 100, 50
	r := run(t, c, s)
	eventually(t, "the low lane is paused", func() bool { return r.Stats().LanePauses[session.PriorityLow] > 0 })
	b.produce(t, high, 1, 0, 500)
	eventually(t, "what is high passes", func() bool { return b.committed(t, g, high, 1)[0] == 500 })
	st := r.Stats()
	if held := st.Held[session.PriorityLow]; held < 90 || held > 150 {
		t.Errorf("%d are held, want 90 to 150: 100 or more, less the 10 in work", held)
	}
	if fetched := st.Fetched[session.PriorityLow]; fetched > 160 {
		t.Errorf("%d were fetched, when 150 may be held and 10 are in work", fetched)
	}
	eventually(t, "the lag says what waits", func() bool { return r.Stats().Lag[session.PriorityLow] == 4000 })
	if at := b.committed(t, g, low, 2); at[0]+at[1] != 0 {
		t.Errorf("committed %v, and nothing is final", at)
	}
	s.Limit(session.PriorityLow, 0)
	eventually(t, "all are committed", func() bool {
		s.Release(processortest.Some, *processortest.Written())
		return slices.Equal(b.committed(t, g, low, 2), []int64{2000, 2000})
	})
}

// TestWindowIsBounded holds the first record of a partition back: soon no more of that
// partition is fetched, and others are.
func TestWindowIsBounded(t *testing.T) {
	b := newBroker(t)
	topic, g := b.topic(t, 2), group()
	b.produce(t, topic, 2, 0, 1000)
	s := processortest.New(func(r *processor.Record) *processor.Result {
		if r.ID == topic+"/0/0" {
			return nil
		}
		return processortest.Written()
	})
	c := b.config(g, topic)
	c.WindowMax, c.PollMax = 100, 50
	r := run(t, c, s)
	eventually(t, "the other partition is done", func() bool { return b.committed(t, g, topic, 2)[1] == 1000 })
	eventually(t, "the first one is paused", func() bool { return r.Stats().Paused == 1 })
	final, _ := s.Count()
	if final-1000 > 150 {
		t.Errorf("%d records of the held up partition were fetched, want at most 150", final-1000)
	}
	s.Release(processortest.Everything, *processortest.Written())
	eventually(t, "all are committed", func() bool { return b.committed(t, g, topic, 2)[0] == 1000 })
	if st := r.Stats(); st.Paused != 0 || st.PartitionPauses == 0 {
		t.Errorf("counted %+v", st)
	}
}

// ledger watches that no offset is ever committed beyond a record that is not final.
type ledger struct {
	t          *testing.T
	b          *broker
	group      string
	topic      string
	partitions int32
	isFinal    func(id string) bool
}

func (l *ledger) look() []int64 {
	l.t.Helper()
	list := l.b.committed(l.t, l.group, l.topic, l.partitions)
	for p, at := range list {
		for n := range at {
			if id := fmt.Sprintf("%s/%d/%d", l.topic, p, n); !l.isFinal(id) {
				l.t.Fatalf("partition %d is committed to %d, but %d is not final", p, at, n)
			}
		}
	}
	return list
}

// TestRebalance lets a second member join in mid-flight and the first leave after it.
// Every record is final at least once, and no commit is ahead of an unfinished record.
func TestRebalance(t *testing.T) {
	b := newBroker(t)
	const partitions, n = 4, 400
	topic, g := b.topic(t, partitions), group()
	b.produce(t, topic, partitions, 0, n/2)
	one, two := processortest.New(processortest.Never), processortest.New(processortest.Never)
	book := &ledger{t, b, g, topic, partitions, func(id string) bool { return one.IsFinal(id) || two.IsFinal(id) }}
	c := b.config(g, topic)
	c.RevokeTimeout = 300 * time.Millisecond
	first := run(t, c, one)
	step := func() {
		one.Release(processortest.Some, *processortest.Written())
		two.Release(processortest.Some, *processortest.Written())
		book.look()
	}
	eventually(t, "the first has all partitions", func() bool { step(); return first.Stats().Partitions == partitions })
	second := run(t, c, two)
	produced := false
	eventually(t, "both have partitions and records", func() bool {
		step()
		if !produced && second.Stats().Partitions > 0 {
			b.produce(t, topic, partitions, n/2, n/2)
			produced = true
		}
		return first.Stats().Partitions > 0 && len(two.Taken()) > 0
	})
	stopped := make(chan struct{})
	go func() { first.stop(); close(stopped) }()
	eventually(t, "the first has left", func() bool {
		step()
		select {
		case <-stopped:
			return true
		default:
			return false
		}
	})
	eventually(t, "all are committed", func() bool {
		step()
		return slices.Equal(book.look(), slices.Repeat([]int64{n}, partitions))
	})
	eventually(t, "the second has all partitions", func() bool { return second.Stats().Partitions == partitions })
	for p := range partitions {
		for i := range n {
			if !book.isFinal(fmt.Sprintf("%s/%d/%d", topic, p, i)) {
				t.Errorf("record %d of partition %d is not final", i, p)
			}
		}
	}
	if st := first.Stats(); st.Revoked == 0 || st.Partitions != 0 {
		t.Errorf("the first counted %+v", st)
	}
}

// TestRevokeGivesUp lets a partition go while the sink has a record of it: it comes again
// at the next member, and the result that comes too late moves nothing.
func TestRevokeGivesUp(t *testing.T) {
	b := newBroker(t)
	topic, g := b.topic(t, 2), group()
	b.produce(t, topic, 2, 0, 10)
	slow := func(r *processor.Record) *processor.Result {
		if strings.HasSuffix(r.ID, "/3") {
			return nil
		}
		return processortest.Written()
	}
	one, two := processortest.New(slow), processortest.New(slow)
	book := &ledger{t, b, g, topic, 2, func(id string) bool { return one.IsFinal(id) || two.IsFinal(id) }}
	c := b.config(g, topic)
	c.RevokeTimeout = 50 * time.Millisecond
	first := run(t, c, one)
	eventually(t, "two are in work", func() bool { _, kept := one.Count(); return kept == 2 })
	second := run(t, c, two)
	eventually(t, "one of them comes again at the second", func() bool { _, kept := two.Count(); return kept == 1 })
	if st := first.Stats(); st.GivenUp != 1 || st.Partitions != 1 {
		t.Errorf("the first counted %+v", st)
	}
	if at := book.look(); !slices.Equal(at, []int64{3, 3}) {
		t.Errorf("committed %v, want 3 and 3", at)
	}
	one.Release(processortest.Everything, *processortest.Written())
	eventually(t, "the late result is counted", func() bool { return first.Stats().Late == 1 })
	eventually(t, "the first's own partition is done", func() bool { at := book.look(); return at[0] == 10 || at[1] == 10 })
	if at := book.look(); !slices.Equal(at, []int64{3, 10}) && !slices.Equal(at, []int64{10, 3}) {
		t.Errorf("committed %v: the late result moved the second's partition", at)
	}
	two.Release(processortest.Everything, *processortest.Written())
	eventually(t, "all are committed", func() bool { return slices.Equal(book.look(), []int64{10, 10}) })
	second.stop()
}

// TestBrokerLoss cuts all connections in mid-flight. Results that come meanwhile count
// once the brokers are back; nothing is lost.
func TestBrokerLoss(t *testing.T) {
	b := newBroker(t)
	topic, results, g := b.topic(t, 2), b.topic(t, 1), group()
	b.produce(t, topic, 2, 0, 100)
	s := processortest.New(processortest.Never)
	book := &ledger{t, b, g, topic, 2, s.IsFinal}
	c := b.config(g, topic)
	c.ResultsTopic = results
	c.CommitTimeout = 200 * time.Millisecond
	var w wire
	r := run(t, c, s, kgo.Dialer(w.dial))
	eventually(t, "all are in work", func() bool { _, kept := s.Count(); return kept == 200 })
	s.Release(func(id string) bool { _, n := place(t, id); return n < 30 }, *processortest.Written())
	eventually(t, "some are committed", func() bool { return slices.Equal(book.look(), []int64{30, 30}) })
	w.cut()
	s.Release(processortest.Everything, *processortest.Written())
	b.produce(t, topic, 2, 100, 50)
	eventually(t, "the source tries in vain", func() bool {
		book.look()
		return r.Stats().FetchErrors > 0 || r.Stats().CommitFailures > 0
	})
	if at := book.look(); !slices.Equal(at, []int64{30, 30}) {
		t.Errorf("committed %v through a wire that is cut", at)
	}
	w.mend()
	eventually(t, "all are committed", func() bool {
		s.Release(processortest.Everything, *processortest.Written())
		return slices.Equal(book.look(), []int64{150, 150})
	})
	seen := map[string]bool{}
	eventually(t, "every record has its result", func() bool {
		for _, m := range b.read(t, results, int(min(300, r.Stats().Results))) {
			seen[string(m.Key)] = true
		}
		return len(seen) == 300
	})
}

// TestDuplicates ends a source without its last commits, as a crash does: what was final
// since comes again, with the same ids.
func TestDuplicates(t *testing.T) {
	b := newBroker(t)
	topic, g := b.topic(t, 1), group()
	b.produce(t, topic, 1, 0, 100)
	c := b.config(g, topic)
	c.StopTimeout, c.CommitTimeout = 50*time.Millisecond, 50*time.Millisecond
	one := processortest.New(processortest.Never)
	var w wire
	first := run(t, c, one, kgo.Dialer(w.dial))
	eventually(t, "all are in work", func() bool { _, kept := one.Count(); return kept == 100 })
	one.Release(func(id string) bool { _, n := place(t, id); return n < 40 }, *processortest.Written())
	eventually(t, "40 are committed", func() bool { return b.committed(t, g, topic, 1)[0] == 40 })
	w.cut()
	one.Release(func(id string) bool { _, n := place(t, id); return n < 70 }, *processortest.Written())
	first.stop()
	two := processortest.New(processortest.Always)
	run(t, c, two)
	eventually(t, "all are committed", func() bool { return b.committed(t, g, topic, 1)[0] == 100 })
	got := two.Taken()
	if len(got) != 60 {
		t.Fatalf("%d came again, want 60", len(got))
	}
	for i, id := range got {
		if _, n := place(t, id); n != 40+i {
			t.Fatalf("record %d came as number %d", n, 40+i)
		}
	}
	if one.IsFinal(got[0]) == false || one.IsFinal(got[59]) {
		t.Error("of the ones that came again, the first was final before and the last was not")
	}
}

// TestOrder compares the keys of the three orders.
func TestOrder(t *testing.T) {
	src := func(order string) *Source {
		c := Default()
		c.Enabled, c.Order, c.NormalTopics = true, order, []string{"t"}
		c.Connection.Brokers = []string{"127.0.0.1:1"}
		s, err := New(c, processortest.New(processortest.Always), discard)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	phone := &processor.Record{Account: "a", Device: "phone"}
	laptop := &processor.Record{Account: "a", Device: "laptop"}
	account := &processor.Record{Account: "a"}
	other := &processor.Record{Account: "b", Device: "phone"}
	topic := &processor.Record{Topic: "a"}
	zero, one := &kgo.Record{Topic: "t"}, &kgo.Record{Topic: "t", Partition: 1}
	for _, c := range []struct {
		order string
		want  [][]*processor.Record // those with one key
	}{
		{OrderDevice, [][]*processor.Record{{phone}, {laptop}, {account}, {other}, {topic}}},
		{OrderAccount, [][]*processor.Record{{phone, laptop, account}, {other}, {topic}}},
		{OrderPartition, [][]*processor.Record{{phone, laptop, account, other, topic}}},
	} {
		t.Run(c.order, func(t *testing.T) {
			s := src(c.order)
			keys := map[uint64]bool{}
			for _, same := range c.want {
				key := s.key(same[0], zero)
				if keys[key] || key == 0 {
					t.Errorf("%+v has the key of another, or none", same[0])
				}
				keys[key] = true
				for _, r := range same {
					if s.key(r, zero) != key {
						t.Errorf("%+v has another key than %+v", r, same[0])
					}
				}
			}
			if moved := s.key(phone, zero) != s.key(phone, one); moved != (c.order == OrderPartition) {
				t.Errorf("another partition is another key: %t", moved)
			}
		})
	}
}

// TestStopsAtOnce ends a source whose sink takes nothing and never will.
func TestStopsAtOnce(t *testing.T) {
	b := newBroker(t)
	topic, g := b.topic(t, 1), group()
	b.produce(t, topic, 1, 0, 10)
	s := processortest.New(processortest.Never)
	s.Limit(session.PriorityNormal, 1)
	c := b.config(g, topic)
	c.StopTimeout = 10 * time.Millisecond
	r := run(t, c, s)
	eventually(t, "one is in work", func() bool { _, kept := s.Count(); return kept == 1 })
	r.stop()
	if st := r.Stats(); st.GivenUp != 1 {
		t.Errorf("counted %+v", st)
	}
	s.Release(processortest.Everything, *processortest.Written()) // after the end, which must harm nobody
	if st := r.Stats(); st.Late != 1 {
		t.Errorf("counted %+v", st)
	}
}

// TestReportsAgain lets the broker refuse dead letters at first: the offset waits for
// them.
func TestReportsAgain(t *testing.T) {
	b := newBroker(t)
	topic, dead, g := b.topic(t, 1), b.topic(t, 1), group()
	b.send(t, &kgo.Record{Topic: topic, Value: []byte("x")})
	c := b.config(g, topic)
	c.DeadLetterTopic = dead
	c.ReportTimeout = time.Second
	var w wire
	var once sync.Once
	s := processortest.New(processortest.Always)
	r := run(t, c, s, kgo.Dialer(w.dial), kgo.WithHooks(onProduce(func() { once.Do(w.cut) })))
	eventually(t, "the letter is refused", func() bool { return r.Stats().ReportsAgain > 0 })
	if at := b.committed(t, g, topic, 1)[0]; at != 0 {
		t.Errorf("committed %d before the letter was acknowledged", at)
	}
	w.mend()
	eventually(t, "it is committed", func() bool { return b.committed(t, g, topic, 1)[0] == 1 })
	b.read(t, dead, 1)
}

// onProduce is a hook that is called when a record is about to be buffered.
type onProduce func()

func (f onProduce) OnProduceRecordBuffered(*kgo.Record) { f() }

// TestShrink takes out of a letter first its value, then its headers.
func TestShrink(t *testing.T) {
	s := &Source{}
	s.cfg.DeadLetterTopic = "dead"
	m := &kgo.Record{Topic: "t", Key: []byte("k"), Value: []byte("v"), Headers: headers("a", "b")}
	letter := s.letter(m, &processor.Reject{Code: "c", Detail: "d"})
	if !shrink(letter) || letter.Value != nil || letter.Key == nil || len(letter.Headers) != 7 {
		t.Errorf("first %+v", letter)
	}
	if !shrink(letter) || letter.Key != nil || len(letter.Headers) != 6 || letter.Headers[0].Key != processor.HeaderErrorCode || string(letter.Headers[5].Value) != "value and headers" {
		t.Errorf("then %+v", letter)
	}
	if shrink(letter) {
		t.Error("there is nothing left to take out")
	}
	if len(m.Headers) != 1 || m.Value == nil {
		t.Errorf("the record itself was changed: %+v", m)
	}
}

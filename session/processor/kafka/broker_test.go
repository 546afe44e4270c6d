package kafka

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/roostpush/roost/session/processor"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for one thing: far longer than anything takes on a
// busy machine.
const patience = time.Minute

// broker is what the tests run against: kfake, or the broker that ROOST_KAFKA names.
type broker struct {
	addresses []string
	fake      *kfake.Cluster // nil: a real one
	client    *kgo.Client
}

func newBroker(t *testing.T, opts ...kfake.Opt) *broker {
	b := &broker{}
	if real := os.Getenv("ROOST_KAFKA"); real != "" && len(opts) == 0 {
		b.addresses = strings.Split(real, ",")
	} else {
		b.fake = newFake(t, opts...)
		b.addresses = b.fake.ListenAddrs()
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(b.addresses...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	b.client = client
	return b
}

func newFake(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	fake, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(2), kfake.GroupMinSessionTimeout(100 * time.Millisecond)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	return fake
}

// topic makes a topic with a name of its own.
func (b *broker) topic(t *testing.T, partitions int32) string {
	t.Helper()
	name := "roost-test-" + strings.ToLower(rand.Text()[:12])
	request := kmsg.NewPtrCreateTopicsRequest()
	request.TimeoutMillis = 10_000
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, partitions, 1
	request.Topics = append(request.Topics, topic)
	answer, err := request.RequestWith(t.Context(), b.client)
	if err == nil {
		err = kerr.ErrorForCode(answer.Topics[0].ErrorCode)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if b.fake == nil {
			request := kmsg.NewPtrDeleteTopicsRequest()
			request.TimeoutMillis = 10_000
			request.TopicNames = []string{name}
			topic := kmsg.NewDeleteTopicsRequestTopic()
			topic.Topic = kmsg.StringPtr(name)
			request.Topics = append(request.Topics, topic)
			if _, err := request.RequestWith(context.Background(), b.client); err != nil {
				t.Log(err)
			}
		}
	})
	return name
}

// headers makes the headers of a record out of names and values.
func headers(pairs ...string) (list []kgo.RecordHeader) {
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, kgo.RecordHeader{Key: pairs[i], Value: []byte(pairs[i+1])})
	}
	return list
}

// produce puts n records into each partition, each for a device of its partition, with
// the record's place as its id: topic/partition/number.
func (b *broker) produce(t *testing.T, topic string, partitions int32, from, n int) {
	t.Helper()
	var records []*kgo.Record
	for i := from; i < from+n; i++ {
		for p := range partitions {
			records = append(records, &kgo.Record{Topic: topic, Partition: p, Value: []byte(`{}`), Headers: headers(
				"roost-account", fmt.Sprint("account-", p), "roost-device", fmt.Sprint("device-", i%3), "content-type", "application/json",
				"roost-id", fmt.Sprintf("%s/%d/%d", topic, p, i))})
		}
	}
	b.send(t, records...)
}

func (b *broker) send(t *testing.T, records ...*kgo.Record) {
	t.Helper()
	if err := b.client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// committed returns the group's offsets of a topic, by partition; 0 where there is none.
func (b *broker) committed(t *testing.T, group, topic string, partitions int32) []int64 {
	t.Helper()
	request := kmsg.NewPtrOffsetFetchRequest()
	request.Group = group
	asked := kmsg.NewOffsetFetchRequestTopic()
	asked.Topic = topic
	for p := range partitions {
		asked.Partitions = append(asked.Partitions, p)
	}
	request.Topics = append(request.Topics, asked)
	answer, err := request.RequestWith(t.Context(), b.client)
	if err != nil {
		t.Fatal(err)
	}
	list := make([]int64, partitions)
	for _, of := range answer.Topics {
		for _, p := range of.Partitions {
			list[p.Partition] = max(p.Offset, 0)
		}
	}
	for _, g := range answer.Groups {
		for _, of := range g.Topics {
			for _, p := range of.Partitions {
				list[p.Partition] = max(p.Offset, 0)
			}
		}
	}
	return list
}

// read returns the first n records of a topic.
func (b *broker) read(t *testing.T, topic string, n int) (list []*kgo.Record) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.addresses...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for len(list) < n {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("%d of %d records of %s: %v", len(list), n, topic, err)
		}
		list = append(list, fetches.Records()...)
	}
	return list
}

// config returns a configuration for tests: everything happens soon.
func (b *broker) config(group string, normal ...string) Config {
	c := Default()
	c.Enabled = true
	c.Connection.Brokers = b.addresses
	c.Group = group
	c.NormalTopics = normal
	c.FetchWait = 50 * time.Millisecond
	c.CommitInterval = 10 * time.Millisecond
	c.SessionTimeout = 6 * time.Second
	c.LagInterval = 50 * time.Millisecond
	c.ReportRetry = 20 * time.Millisecond
	c.StopTimeout = 5 * time.Second
	return c
}

// group returns a name that no other test has.
func group() string { return "roost-test-" + strings.ToLower(rand.Text()[:12]) }

// source is a Source that a test runs.
type source struct {
	*Source
	t    *testing.T
	end  context.CancelFunc
	done chan error
	once sync.Once
}

func run(t *testing.T, c Config, s processor.Sink, opts ...kgo.Opt) *source {
	t.Helper()
	src, err := New(c, s, slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo})))
	if err != nil {
		t.Fatal(err)
	}
	src.opts = append(src.opts, opts...)
	ctx, cancel := context.WithCancel(context.Background())
	r := &source{Source: src, t: t, end: cancel, done: make(chan error, 1)}
	go func() { r.done <- src.Run(ctx) }()
	t.Cleanup(r.stop)
	return r
}

// stop ends the source and waits for it; it may be called again.
func (r *source) stop() {
	r.once.Do(func() {
		r.end()
		select {
		case err := <-r.done:
			if err != nil {
				r.t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			r.t.Error("Run does not return")
		}
	})
}

// wire is a network that can be cut.
type wire struct {
	mu    sync.Mutex
	isCut bool
	conns map[net.Conn]bool
}

func (w *wire) dial(ctx context.Context, network, address string) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.isCut {
		return nil, fmt.Errorf("the wire to %s is cut", address)
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, network, address)
	if err == nil {
		if w.conns == nil {
			w.conns = map[net.Conn]bool{}
		}
		w.conns[c] = true
	}
	return c, err
}

func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.isCut = true
	for c := range w.conns {
		c.Close()
	}
	clear(w.conns)
}

func (w *wire) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.isCut = false
}

// eventually waits until ok says so; how long it takes is not what is tested.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never came true: %s", what)
		}
	}
}

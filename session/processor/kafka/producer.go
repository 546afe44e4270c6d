package kafka

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Message is one record for a topic that a Source consumes.
type Message struct {
	Topic       string
	Account     string
	Device      string        // empty: every device of the account
	ID          string        // the caller's idempotency key; empty: none
	TTL         time.Duration // how long it is kept for a device that is away
	ContentType string        // empty: left out
	Payload     []byte
}

// Producer puts records into topics as PROTOCOL.md section 3 says. It is meant for the
// command line and for tests: it looks at nothing, so that it can produce poison too. Any
// goroutine may call it.
type Producer struct {
	client *kgo.Client
	cfg    ConnectionConfig
	dialer dialer
}

// NewProducer returns a producer that is not connected yet.
func NewProducer(cfg ConnectionConfig) (*Producer, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	p := &Producer{cfg: cfg}
	opts, err := cfg.options(&p.dialer)
	if err != nil {
		return nil, err
	}
	if p.client, err = kgo.NewClient(opts...); err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	return p, nil
}

// Check asks a broker whether the topic exists and may be used, until ctx ends.
func (p *Producer) Check(ctx context.Context, topic string) error {
	return checkTopics(ctx, p.client, p.cfg, &p.dialer, map[string]string{topic: "topic"})
}

// Send puts m, which is kept until done, into its topic. done is called once, on the
// client's goroutine, when the broker has it or never will: it must not block. Messages of one account
// go to one partition. Send waits while too much is buffered.
func (p *Producer) Send(ctx context.Context, m Message, done func(partition int32, offset int64, err error)) {
	r := &kgo.Record{Topic: m.Topic, Key: []byte(m.Account), Value: m.Payload}
	header := func(name, value string) {
		if value != "" {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
		}
	}
	header("roost-account", m.Account)
	header("roost-device", m.Device)
	header("roost-id", m.ID)
	header("content-type", m.ContentType)
	if m.TTL != 0 {
		header("roost-ttl-ms", strconv.FormatInt(m.TTL.Milliseconds(), 10))
	}
	p.client.Produce(ctx, r, func(r *kgo.Record, err error) { done(r.Partition, r.Offset, err) })
}

// Flush waits until every message that was sent has its answer, or ctx ends.
func (p *Producer) Flush(ctx context.Context) error { return p.client.Flush(ctx) }

// Close ends the producer; what is still buffered fails.
func (p *Producer) Close() { p.client.Close() }

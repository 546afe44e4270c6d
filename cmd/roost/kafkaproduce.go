package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/roostpush/roost/session/processor/kafka"
)

// produceTimeout bounds the wait for a broker, when it is first asked and at the end.
const produceTimeout = 10 * time.Second

// kafkaProduceCommand puts records into a Kafka topic, as a backend does.
type kafkaProduceCommand struct {
	Payload string `arg:"" optional:"" help:"The payload. Left out: each line of standard input is one; @FILE: the bytes of a file."`

	Brokers []string      `env:"ROOST_KAFKA_BROKERS" default:"127.0.0.1:9092" placeholder:"HOST:PORT" help:"Some of the brokers, separated by commas (${default})."`
	Topic   string        `required:"" placeholder:"NAME" help:"The topic; which priority it has, the node's configuration says."`
	Account string        `required:"" placeholder:"NAME" help:"Header roost-account."`
	Device  string        `placeholder:"NAME" help:"Header roost-device; left out: every device of the account."`
	ID      string        `placeholder:"KEY" help:"Header roost-id, the idempotency key. For lines of standard input -1, -2 and so on is appended."`
	TTL     time.Duration `name:"ttl" placeholder:"DURATION" help:"How long the message is kept for a device that is away (0: not at all)."`
	Type    string        `default:"application/json" placeholder:"MEDIA" help:"Header content-type (${default}); text/plain for text, empty for bytes."`

	TLS          bool   `name:"tls" help:"Encrypt the connection."`
	TLSCAFile    string `name:"tls-ca-file" placeholder:"FILE" help:"Who may sign the brokers' certificates, in PEM (those of the system)."`
	SASL         string `name:"sasl" enum:"none,plain,scram-sha-256,scram-sha-512" default:"none" help:"none, plain, scram-sha-256 or scram-sha-512 (${default})."`
	User         string `placeholder:"NAME" help:"User for --sasl."`
	PasswordFile string `placeholder:"FILE" help:"File with the password for --sasl."`
}

// Help is shown below the flags.
func (kafkaProduceCommand) Help() string {
	return `Prints partition and offset of each record once the brokers have it. It does not look at what it
sends: a record that can never succeed ends in the node's dead letter topic, with the reason.

Examples:
  roost kafka-produce --topic push --account alice --device phone --ttl 1h '{"hello":"world"}'
  roost kafka-produce --topic push --account alice --type text/plain --id order-7 < lines.txt`
}

// Run produces.
func (c kafkaProduceCommand) Run(t terminal) error {
	payload, err := c.payload()
	if err != nil {
		return err
	}
	connection := kafka.DefaultConnection()
	connection.ClientID = "roost-kafka-produce"
	connection.Brokers, connection.TLS, connection.TLSCAFile = c.Brokers, c.TLS, c.TLSCAFile
	connection.SASL, connection.User, connection.PasswordFile = c.SASL, c.User, c.PasswordFile
	producer, err := kafka.NewProducer(connection)
	if err != nil {
		return usageError{err}
	}
	defer producer.Close()
	ctx, stop := interruptible(t.ctx)
	defer stop()
	if err := c.check(ctx, producer); err != nil {
		return err
	}
	receipts := receipts{out: t.out}
	if payload != nil {
		producer.Send(ctx, c.message(payload, c.ID), receipts.note)
	} else if err := c.lines(ctx, t.in, producer, &receipts); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, produceTimeout)
	defer cancel()
	if err := producer.Flush(ctx); err != nil {
		return fmt.Errorf("kafka-produce: the brokers did not acknowledge everything: %w", err)
	}
	return receipts.err()
}

// payload returns the payload of the command line; nil: standard input has it.
func (c *kafkaProduceCommand) payload() ([]byte, error) {
	switch {
	case c.TTL < 0 || c.TTL > 0 && c.TTL < time.Millisecond:
		return nil, usageError{errors.New("--ttl is 1ms or longer")}
	case c.Payload == "":
		return nil, nil
	case c.Payload[0] == '@':
		f, err := os.Open(c.Payload[1:])
		if err != nil {
			return nil, usageError{fmt.Errorf("payload: %w", err)}
		}
		defer f.Close()
		return readPayload(c.Payload[1:], f)
	}
	return []byte(c.Payload), nil
}

func (c *kafkaProduceCommand) check(ctx context.Context, p *kafka.Producer) error {
	ctx, cancel := context.WithTimeout(ctx, produceTimeout)
	defer cancel()
	return p.Check(ctx, c.Topic)
}

func (c *kafkaProduceCommand) message(payload []byte, id string) kafka.Message {
	return kafka.Message{Topic: c.Topic, Account: c.Account, Device: c.Device, ID: id, TTL: c.TTL, ContentType: c.Type, Payload: payload}
}

// lines sends each line of standard input that is not empty.
func (c *kafkaProduceCommand) lines(ctx context.Context, in io.Reader, p *kafka.Producer, r *receipts) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, 64<<10), payloadBytesMax)
	for n := 1; lines.Scan() && ctx.Err() == nil; n++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		id := c.ID
		if id != "" {
			id = fmt.Sprintf("%s-%d", id, n)
		}
		p.Send(ctx, c.message(bytes.Clone(lines.Bytes()), id), r.note)
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read standard input: %w", err)
	}
	return nil
}

// receipts prints where records have gone, and remembers what went wrong. The client
// calls note on its own goroutine.
type receipts struct {
	out io.Writer

	mu     sync.Mutex
	failed int
	first  error
}

func (r *receipts) note(partition int32, offset int64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		if r.failed++; r.first == nil {
			r.first = err
		}
		return
	}
	fmt.Fprintf(r.out, "partition %d offset %d\n", partition, offset)
}

func (r *receipts) err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed == 0 {
		return nil
	}
	return fmt.Errorf("kafka-produce: %d records are not in the topic: %w", r.failed, r.first)
}

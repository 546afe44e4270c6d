package budget

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/roostpush/roost/bench/experiment"
	"github.com/roostpush/roost/bench/generator"
	"github.com/roostpush/roost/bench/hostinfo"
	"github.com/roostpush/roost/bench/report"
)

const whatKafka = "a Kafka record until it is written to its device"

const kafkaAboveFloor = 6 * time.Microsecond

type kafkaSizes struct {
	Devices   int64
	Payload   int
	Records   int // a round
	Rounds    int
	FloorRuns int
}

func defaultKafka() kafkaSizes {
	return kafkaSizes{Devices: 10_000, Payload: 128, Records: 60_000, Rounds: 5, FloorRuns: 6}
}

// What the node says of records.
const (
	kafkaWritten = `roost_kafka_outcomes_total{outcome="written"}`
	kafkaFinal   = "roost_kafka_final_total"
)

// Waiting for the records of a round.
const (
	kafkaWait = time.Minute
	kafkaPoll = 100 * time.Millisecond // each look costs the node up to a millisecond
)

// kafkaRounds is what the rounds found.
type kafkaRounds struct {
	floors
	Record     []float64 `json:"record_ns"` // CPU of the server for each
	Polled     []float64 `json:"polled_ns"` // CPU of a bare consumer, which only polls
	Rate       []float64 `json:"rate"`      // records a second until they were final
	FrameBytes int       `json:"frame_bytes"`
	Wrong      string    `json:"wrong,omitempty"`
}

// runKafka feeds a node by a Kafka broker on the generator's core, between floors with
// frames of the same size. What Kafka's client alone costs is in each round measured, too.
func runKafka(ctx context.Context, b *board) ([]Row, error) {
	z := b.cfg.Kafka
	floor, err := b.startWriteLoop()
	if err != nil {
		return nil, err
	}
	defer stopPeer(floor.cmd)
	var broker, control string
	fake, err := b.startPeerOn(b.cfg.OwnCPU, "kafka", map[string]*string{"kafka broker on ": &broker, "kafka control server on ": &control})
	if err != nil {
		return nil, err
	}
	defer stopPeer(fake)
	var bare string
	consumer, err := b.startPeer("kafkapoll", map[string]*string{"kafkapoll control server on ": &bare})
	if err != nil {
		return nil, err
	}
	defer stopPeer(consumer)
	feeder := kafkaFeeder{control: control, broker: broker, bare: bare}
	var all kafkaRounds
	args := slices.Concat(unlimited, []string{"--set", "kafka.enabled=true", "--set", "kafka.connection.brokers=" + broker, "--set", "kafka.normal_topics=push"})
	err = b.withNode(ctx, args, func(node *experiment.Node) error {
		frame, err := b.frameBytes(ctx, node)
		if err != nil {
			return err
		}
		all.FrameBytes = frame + frameHead
		all.floors, err = floor.between(ctx, b, z.Devices, floorPattern{frameBytes: frame, rounds: z.FloorRuns}, z.Rounds, func() error {
			return b.kafkaRound(ctx, node, feeder, &all)
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	row := kafkaRow(z, all)
	err = errors.Join(b.keep("budget-kafka", all), all.unsteady(&row))
	return []Row{row}, err
}

// kafkaRound connects the devices, has the records produced, and waits until they are
// final.
func (b *board) kafkaRound(ctx context.Context, node *experiment.Node, feeder kafkaFeeder, all *kafkaRounds) error {
	z := b.cfg.Kafka
	s, err := b.scenario("kafka", node, []generator.Phase{
		{Kind: generator.Open, Connections: z.Devices}, {Kind: generator.Wait, Duration: b.cfg.Settle}, {Kind: generator.Close},
	})
	if err != nil {
		return err
	}
	var feedErr error
	waits := 0
	_, err = b.watched(ctx, s, func(p *report.Phase) {
		if p.Kind != generator.Wait {
			return
		}
		if waits++; waits == 1 { // the second reads what is still on its way
			feedErr = b.feed(ctx, node, feeder, all)
		}
	})
	return errors.Join(err, feedErr)
}

// feed fills the topic, and measures from when all of it may be read: a node that is as fast
// as the producer beside it would be measured with batches as small as that makes them.
func (b *board) feed(ctx context.Context, node *experiment.Node, feeder kafkaFeeder, all *kafkaRounds) error {
	z := b.cfg.Kafka
	ctx, cancel := context.WithTimeout(ctx, kafkaWait)
	defer cancel()
	before, err := node.Metrics(ctx)
	if err != nil {
		return err
	}
	if err := feeder.produce(ctx, z); err != nil {
		return err
	}
	begun, cpu := time.Now(), readCPU(node)
	if err := feeder.commit(ctx); err != nil {
		return err
	}
	final := before
	for final.Value(kafkaFinal)-before.Value(kafkaFinal) < float64(z.Records) {
		if err := experiment.Pause(ctx, kafkaPoll); err != nil {
			return fmt.Errorf("budget: %.0f of %d records are final after %s", final.Value(kafkaFinal)-before.Value(kafkaFinal), z.Records, kafkaWait)
		}
		if final, err = node.Metrics(ctx); err != nil {
			return err
		}
	}
	all.Record = append(all.Record, float64(readCPU(node)-cpu)/float64(z.Records))
	all.Rate = append(all.Rate, float64(z.Records)/time.Since(begun).Seconds())
	if written := final.Value(kafkaWritten) - before.Value(kafkaWritten); written != float64(z.Records) {
		all.Wrong = fmt.Sprintf("%.0f of %d records were written", written, z.Records)
	}
	polled, err := feeder.poll(ctx, z)
	all.Polled = append(all.Polled, polled)
	return err
}

func readCPU(node *experiment.Node) time.Duration {
	cpu, _ := hostinfo.ProcessCPU(node.PID) // a node that is gone is noticed by its metrics
	return cpu
}

// kafkaFeeder has the addresses of the processes beside the node.
type kafkaFeeder struct{ control, broker, bare string }

// produce has the broker's process make the records of a round, which nobody sees before
// commit.
func (f kafkaFeeder) produce(ctx context.Context, z kafkaSizes) error {
	var made struct{ Records int }
	err := order(ctx, fmt.Sprintf("http://%s/produce?records=%d&devices=%d&bytes=%d", f.control, z.Records, z.Devices, z.Payload), &made)
	if err == nil && made.Records != z.Records {
		err = fmt.Errorf("budget: the broker made %d of %d records", made.Records, z.Records)
	}
	return err
}

func (f kafkaFeeder) commit(ctx context.Context) error {
	return order(ctx, fmt.Sprintf("http://%s/commit", f.control), &struct{}{})
}

// poll has the bare consumer take the records of a round, and returns the CPU for each in
// nanoseconds.
func (f kafkaFeeder) poll(ctx context.Context, z kafkaSizes) (float64, error) {
	var polled struct {
		Records int
		Each    float64 `json:"cpu_ns_per_record"`
	}
	err := order(ctx, fmt.Sprintf("http://%s/poll?records=%d&broker=%s", f.bare, z.Records, f.broker), &polled)
	if err == nil && polled.Records != z.Records {
		err = fmt.Errorf("budget: the bare consumer polled %d of %d records", polled.Records, z.Records)
	}
	return polled.Each, err
}

// order gives a peer an order and reads the JSON of its answer.
func order(ctx context.Context, url string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, nil)
	if err != nil {
		return fmt.Errorf("budget: %w", err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("budget: Kafka: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("HTTP %d: %.300s", response.StatusCode, body)
	}
	if err == nil {
		err = json.Unmarshal(body, into)
	}
	if err != nil {
		return fmt.Errorf("budget: Kafka: POST %s: %w", url, err)
	}
	return nil
}

func kafkaRow(z kafkaSizes, all kafkaRounds) Row {
	over := above(all.Record, all.Floor)
	row := Row{
		What: fmt.Sprintf("%s, %d devices", whatKafka, z.Devices), Budget: "≤ the floor + 6 µs of server CPU a record",
		Value: median(over), Limit: float64(kafkaAboveFloor), Floor: all.text(z.Devices, all.FrameBytes),
		Figure: fmt.Sprintf("the floor + %s; %s a record (rounds %s), %.0f a second; the broker is a process of its own on the other core",
			micro(median(over)), micro(median(all.Record)), list(all.Record), median(all.Rate)),
	}
	row.Note = fmt.Sprintf("of it Kafka's client, as a bare consumer that only polls the same records: %s each (rounds %s)", micro(median(all.Polled)), list(all.Polled))
	if all.Wrong != "" {
		row.Verdict, row.Note = Broken, all.Wrong
	}
	return row
}

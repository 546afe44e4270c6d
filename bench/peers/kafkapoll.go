package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sys/unix"
)

// serveKafkaPoll is the floor of a node that takes records from Kafka: the same client, which
// fetches and decodes them, and nothing else. It goes on where it was the last time, and does
// nothing between two requests.
//
//	POST /poll?records=50000&broker=127.0.0.1:9092     the JSON of pollReport
func serveKafkaPoll(o options) error {
	control, err := listen(o.control)
	if err != nil {
		return err
	}
	p := &bareConsumer{next: map[int32]kgo.Offset{}}
	for i := range int32(kafkaPartitions) {
		p.next[i] = kgo.NewOffset().AtStart()
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /poll", p.answerPoll)
	o.ready("kafkapoll control server", control.Addr())
	return http.Serve(control, mux)
}

// bareConsumer remembers where it is in each partition.
type bareConsumer struct {
	mu   sync.Mutex
	next map[int32]kgo.Offset
}

// pollReport is what the records cost. CPU is the process's, the connection to the broker
// included.
type pollReport struct {
	Records      int     `json:"records"`
	CPUNS        int64   `json:"cpu_ns"` // user + system
	CPUPerRecord float64 `json:"cpu_ns_per_record"`
}

func (b *bareConsumer) answerPoll(w http.ResponseWriter, r *http.Request) {
	records, err := number(r, "records", 1)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	report, err := b.poll(r.Context(), r.URL.Query().Get("broker"), records)
	answer(w, report, err)
}

// The limits that a node's source asks for its fetches with.
const (
	pollFetchBytes     = 8 << 20
	pollPartitionBytes = 1 << 20
	pollRecords        = 512
)

func (b *bareConsumer) poll(ctx context.Context, broker string, records int) (report pollReport, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	begun, err := processCPU()
	if err != nil {
		return report, err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{kafkaTopic: b.next}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxBytes(pollFetchBytes), kgo.FetchMaxPartitionBytes(pollPartitionBytes))
	if err != nil {
		return report, err
	}
	defer client.Close()
	for report.Records < records {
		fetches := client.PollRecords(ctx, min(pollRecords, records-report.Records))
		if err := fetches.Err(); err != nil {
			return report, fmt.Errorf("%d of %d records: %w", report.Records, records, err)
		}
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			if n := len(p.Records); n > 0 {
				report.Records += n
				b.next[p.Partition] = kgo.NewOffset().At(p.Records[n-1].Offset + 1)
			}
		})
	}
	ended, err := processCPU()
	report.CPUNS = ended - begun
	report.CPUPerRecord = float64(report.CPUNS) / float64(report.Records)
	return report, err
}

// processCPU is the CPU time of this process in nanoseconds.
func processCPU() (int64, error) {
	var t unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t)
	return t.Nano(), err
}

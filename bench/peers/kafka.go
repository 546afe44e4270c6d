package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The topics of the broker; the second is for whoever tries the README's lines.
const (
	kafkaTopic      = "push"
	kafkaResults    = "push-results"
	kafkaPartitions = 2
)

// serveKafka is no server to compare with but what a node is fed by: a Kafka broker in
// memory (kfake) in a process of its own, so that its CPU is nobody else's, which on
// request has records in its topic push for devices 0, 1, 2, ... in turn.
//
//	POST /produce?records=50000&devices=10000&bytes=128     the JSON of produceReport
//	POST /commit                                            {}
//
// bytes is the payload, a JSON string; device i is dev-i of account acc-i, as
// roost-bench calls them. The answer comes when the broker has all. They are a transaction,
// so that who reads what is committed finds a full topic after /commit, and nothing before:
// what it can do at most is not what the producer beside it can.
func serveKafka(o options) error {
	control, err := listen(o.control)
	if err != nil {
		return err
	}
	fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(kafkaPartitions, kafkaTopic, kafkaResults),
		kfake.ListenFn(func(network, _ string) (net.Listener, error) { return net.Listen(network, o.listen) }))
	if err != nil {
		return fmt.Errorf("the broker on %s: %w", o.listen, err)
	}
	defer fake.Close()
	client, err := kgo.NewClient(kgo.SeedBrokers(fake.ListenAddrs()...), kgo.DefaultProduceTopic(kafkaTopic), kgo.TransactionalID("peers"))
	if err != nil {
		return err
	}
	defer client.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /produce", func(w http.ResponseWriter, r *http.Request) { answerProduce(w, r, client) })
	mux.HandleFunc("POST /commit", func(w http.ResponseWriter, r *http.Request) {
		answer(w, struct{}{}, client.EndTransaction(r.Context(), kgo.TryCommit))
	})
	fmt.Fprintf(o.out, "kafka control server on %s\nkafka broker on %s\n", control.Addr(), fake.ListenAddrs()[0])
	return http.Serve(control, mux)
}

// produceReport says what was produced.
type produceReport struct {
	Records int   `json:"records"`
	WallNS  int64 `json:"wall_ns"`
}

func answerProduce(w http.ResponseWriter, r *http.Request, client *kgo.Client) {
	records, err := number(r, "records", 1)
	devices, err2 := number(r, "devices", 1)
	size, err3 := number(r, "bytes", 120)
	for _, err := range []error{err, err2, err3} {
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	begun := time.Now()
	err = produce(r.Context(), client, records, devices, size)
	answer(w, produceReport{Records: records, WallNS: int64(time.Since(begun))}, err)
}

func produce(ctx context.Context, client *kgo.Client, records, devices, size int) error {
	if err := client.BeginTransaction(); err != nil {
		return err
	}
	value := []byte(`"` + strings.Repeat("x", max(size-2, 0)) + `"`)
	failed := make(chan error, 1)
	for i := range records {
		account, device := fmt.Sprint("acc-", i%devices), fmt.Sprint("dev-", i%devices)
		client.Produce(ctx, &kgo.Record{Key: []byte(account), Value: value, Headers: []kgo.RecordHeader{
			{Key: "roost-account", Value: []byte(account)}, {Key: "roost-device", Value: []byte(device)},
		}}, func(_ *kgo.Record, err error) {
			if err != nil {
				select {
				case failed <- err:
				default: // the first says it
				}
			}
		})
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

package kafkatest

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Start starts a broker with these topics, of that many partitions each, and returns its
// address. It ends with the test.
func Start(t testing.TB, partitions int32, topics ...string) (broker string) {
	t.Helper()
	fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, topics...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	return fake.ListenAddrs()[0]
}

// Record is a record as it stands in a topic.
type Record struct {
	Key, Value string
	Headers    map[string]string
}

// Read waits for the first n records of a topic and returns them.
func Read(t testing.TB, broker, topic string, n int) (list []Record) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for len(list) < n {
		fetches := client.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatalf("%d of %d records of %s: %v", len(list), n, topic, err)
		}
		for r := range fetches.RecordsAll() {
			headers := map[string]string{}
			for _, h := range r.Headers {
				headers[h.Key] = string(h.Value)
			}
			list = append(list, Record{string(r.Key), string(r.Value), headers})
		}
	}
	return list
}

package kafka

import (
	"log/slog"
	"testing"
	"time"

	"github.com/roostpush/roost/session/processor"
	"github.com/roostpush/roost/session/processor/processortest"
	"github.com/twmb/franz-go/pkg/kgo"
)

// instant is a processor that has every result at once and remembers nothing.
type instant struct{ processor.Sink }

func (instant) Take(_ *processor.Record, done func(processor.Result)) bool {
	done(processor.Result{})
	return true
}

func instantSource(t testing.TB) (*Source, *window) {
	c := Default()
	c.Enabled, c.NormalTopics = true, []string{"t"}
	c.Connection.Brokers = []string{"127.0.0.1:1"}
	s, err := New(c, instant{processortest.New(processortest.Always)}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s, newWindow("t", 0)
}

func message() *kgo.Record {
	return &kgo.Record{Topic: "t", Value: []byte(`{"a":1}`), Timestamp: time.UnixMilli(1), Headers: headers(
		"roost-account", "account-17", "roost-device", "phone", "roost-id", "order-4711", "roost-ttl-ms", "60000", "content-type", "application/json")}
}

// raced says that the race detector is on: it makes sync.Pool forget at random.
var raced bool

// TestRecordAllocates holds that a record costs, beside what the client makes of it, one
// string for its headers.
func TestRecordAllocates(t *testing.T) {
	if raced {
		t.Skip("pools forget at random under the race detector")
	}
	s, w := instantSource(t)
	m := message()
	if n := testing.AllocsPerRun(1000, func() {
		f := s.flights.Get().(*flight)
		f.load(m, w, w.add(m.Offset, 1), 0)
		m.Offset++
		s.hand(f)
	}); n > 1 {
		t.Errorf("%v allocations for a record", n)
	}
}

// BenchmarkRecord is a record's way through the source, without network and processor.
func BenchmarkRecord(b *testing.B) {
	s, w := instantSource(b)
	m := message()
	b.ReportAllocs()
	for b.Loop() {
		f := s.flights.Get().(*flight)
		f.load(m, w, w.add(m.Offset, 1), 0)
		m.Offset++
		s.hand(f)
	}
}

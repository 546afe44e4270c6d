package processor_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/deliver"
	"github.com/roostpush/roost/session/processor"
)

// sink is a reactor whose sockets take everything at once.
type sink struct{}

func (sink) Send(_ netpoll.ConnID, _ netpoll.Op, _ []byte, rcpt netpoll.Receipt, tag uint64) {
	if rcpt != nil {
		rcpt.Sent(tag, netpoll.ResultWritten)
	}
}

func (s sink) SendMany(ids []netpoll.ConnID, op netpoll.Op, payload []byte, rcpt netpoll.Receipt, tag uint64) {
	for i, id := range ids {
		s.Send(id, op, payload, rcpt, tag+uint64(i))
	}
}

// pusher delivers what has no ttl.
type pusher struct {
	direct *processor.Direct[*deliver.Delivery]
}

func (p pusher) Push(r *processor.Record, _ int, done func(processor.Result)) {
	p.direct.Push(r, 1, done)
}

// BenchmarkRecordDelivered is a record from Take through delivery to its result: all that a
// record of a queue costs between its source and the socket.
func BenchmarkRecordDelivered(b *testing.B) {
	const devices = 1000
	reg := session.NewRegistry()
	for i := range devices {
		reg.Open(session.New(fmt.Sprint("account-", i), "phone"))
	}
	router := deliver.NewRouter(deliver.Default(), session.Origin{Node: "n", Epoch: 1}, reg, sink{}, nil)
	cfg := processor.Default()
	still := func() int64 { return 1_800_000_000_000 }
	p := processor.New(cfg, pusher{processor.NewDirect(cfg, router, func() *deliver.Delivery { return new(deliver.Delivery) })}, still, still)
	ctx, cancel := context.WithCancel(context.Background())
	var run, left sync.WaitGroup
	run.Go(func() { p.Run(ctx) })
	written := 0
	var mu sync.Mutex
	done := func(r processor.Result) {
		mu.Lock()
		written += r.Counts[session.Written]
		mu.Unlock()
		left.Done()
	}
	records := make([]processor.Record, 16_384)
	for i := range records {
		records[i] = processor.Record{Account: fmt.Sprint("account-", i%devices), Device: "phone", Key: uint64(i%devices + 1), Payload: []byte(`{"type":"news","text":"some text of some length"}`)}
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if n%len(records) == 0 {
			left.Wait() // nobody may have a record that is used again
		}
		r := &records[n%len(records)]
		n++
		left.Add(1)
		for !p.Take(r, done) {
			<-p.Room(r.Priority)
		}
	}
	left.Wait()
	cancel()
	run.Wait()
	if written != n {
		b.Fatalf("%d of %d were written", written, n)
	}
}

package jetstream

import (
	"hash/maphash"
	"iter"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/roostpush/roost/session/processor"
)

// flight is one message between its fetch and its settlement. It belongs to its lane's
// goroutines, then to the sink, and from land on to whoever settles it; its message is
// under the lane's mutex, because a newer delivery replaces it.
type flight struct {
	lane     *lane
	message  jetstream.Msg
	sequence uint64 // in the stream
	bytes    int

	record   processor.Record
	rejected *processor.Reject
	again    bool          // it is given back
	delay    time.Duration // after which it comes again
}

func newFlight(l *lane, m jetstream.Msg, meta *jetstream.MsgMetadata) *flight {
	bytes := len(m.Data())
	for name, values := range m.Headers() {
		for _, value := range values {
			bytes += len(name) + len(value)
		}
	}
	return &flight{
		bytes: bytes,
		lane:  l, message: m, sequence: meta.Sequence.Stream,
		record: processor.Record{Payload: m.Data(), Priority: l.priority, SentMS: meta.Timestamp.UnixMilli()},
	}
}

// read reads the message's headers.
func (f *flight) read() {
	f.rejected = processor.ParseHeaders(&f.record, headers(f.newest()))
	if f.rejected == nil {
		f.record.Key = f.lane.source.key(&f.record)
	}
}

// headers returns the headers of a message, each as often as it is there.
func headers(m jetstream.Msg) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for name, values := range m.Headers() {
			for _, value := range values {
				if !yield(name, value) {
					return
				}
			}
		}
	}
}

// key returns the key that keeps the messages for one device in order, and those for one
// whole account or topic.
func (s *Source) key(r *processor.Record) uint64 {
	var h maphash.Hash
	h.SetSeed(s.seed)
	h.WriteString(r.Account)
	h.WriteByte('/')
	h.WriteString(r.Device)
	h.WriteByte('/')
	h.WriteString(r.Topic)
	return max(h.Sum64(), 1) // 0 means no order
}

// land takes the message's result, on any goroutine. It does not block.
func (f *flight) land(r processor.Result) {
	s := f.lane.source
	if r.GivenUp {
		f.back(s.cfg.NakDelay)
		return
	}
	s.count.results.Count(&r)
	if r.Reject != nil {
		f.bury(r.Reject)
		return
	}
	s.acks.add(f)
}

// bury sends the message to the dead letters.
func (f *flight) bury(why *processor.Reject) {
	f.rejected = why
	f.lane.source.letters.add(f)
}

// back gives the message back, to come again after the delay.
func (f *flight) back(delay time.Duration) {
	f.again, f.delay = true, delay
	f.lane.source.acks.add(f)
}

// newest returns the delivery to be answered.
func (f *flight) newest() jetstream.Msg {
	f.lane.mu.Lock()
	defer f.lane.mu.Unlock()
	return f.message
}

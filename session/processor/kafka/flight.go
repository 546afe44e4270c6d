package kafka

import (
	"hash/maphash"
	"iter"
	"strings"
	"sync/atomic"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/processor"
	"github.com/twmb/franz-go/pkg/kgo"
)

// HOT PATH: a flight for each record.

// flight is one record between its poll and its final result. It is pooled; its record
// is what the sink keeps meanwhile. It belongs to the poll, then to its lane's goroutine,
// then to the sink, and from land on to whoever brings the last result.
type flight struct {
	source *Source
	heard  func(processor.Result)    // land, bound once
	each   iter.Seq2[string, string] // headers, bound once

	record   processor.Record
	rejected *processor.Reject // by its headers
	message  *kgo.Record
	window   *window
	sequence uint64
	bytes    int
	awaited  atomic.Int32 // reports without an acknowledgement
	unheard  atomic.Bool  // one of them will never have one: the source has stopped
}

func newFlight(s *Source) *flight {
	f := &flight{source: s}
	f.heard, f.each = f.land, f.headers
	return f
}

// load begins the flight of a message.
func (f *flight) load(m *kgo.Record, w *window, sequence uint64, p session.Priority) {
	f.message, f.window, f.sequence = m, w, sequence
	f.bytes = len(m.Key) + len(m.Value)
	for i := range m.Headers {
		f.bytes += len(m.Headers[i].Key) + len(m.Headers[i].Value)
	}
	f.record = processor.Record{Payload: m.Value, Priority: p, SentMS: m.Timestamp.UnixMilli()}
}

// read reads the message's headers.
func (f *flight) read() {
	f.rejected = processor.ParseHeaders(&f.record, f.each)
	if f.rejected == nil {
		f.record.Key = f.source.key(&f.record, f.message)
	}
}

// headers yields the message's headers as text. All values are parts of one string, so
// that a record costs one allocation, and neither what remembers an id keeps a whole fetch
// alive with it nor what keeps a name sees the memory of a batch used again.
func (f *flight) headers(yield func(name, value string) bool) {
	size := 0
	for i := range f.message.Headers {
		size += len(f.message.Headers[i].Value)
	}
	var text strings.Builder
	text.Grow(size)
	for i := range f.message.Headers {
		text.Write(f.message.Headers[i].Value)
	}
	all, at := text.String(), 0
	for i := range f.message.Headers {
		h := &f.message.Headers[i]
		end := at + len(h.Value)
		if !yield(h.Key, all[at:end]) {
			return
		}
		at = end
	}
}

// key returns the key that orders the record among those of this source.
func (s *Source) key(r *processor.Record, m *kgo.Record) uint64 {
	var h maphash.Hash
	h.SetSeed(s.seed)
	switch {
	case s.cfg.Order == OrderPartition:
		h.WriteString(m.Topic)
		h.Write([]byte{0, byte(m.Partition), byte(m.Partition >> 8), byte(m.Partition >> 16), byte(m.Partition >> 24)})
	case r.Topic != "":
		h.WriteByte('.') // what no account begins with would do as well; it only has to be apart
		h.WriteString(r.Topic)
	default:
		h.WriteString(r.Account)
		h.WriteByte('/')
		if s.cfg.Order == OrderDevice {
			h.WriteString(r.Device)
		}
	}
	return max(h.Sum64(), 1) // 0 means no order
}

// land takes the record's result, on any goroutine. It does not block: what is to be
// reported is handed to the client, or waits for its next try.
func (f *flight) land(r processor.Result) {
	s := f.source
	if r.GivenUp {
		f.giveUp()
		return
	}
	s.count.results.Count(&r)
	s.report(f, &r)
}

// finish makes the record final.
func (f *flight) finish() {
	s, w := f.source, f.window
	length, late := w.finish(f.sequence)
	f.recycle()
	if late {
		s.count.late.Add(1)
		return
	}
	s.count.final.Add(1)
	s.shortened(w, length)
}

// giveUp ends the flight of a record that is not final: it stays uncommitted, and comes
// again to whoever has its partition next.
func (f *flight) giveUp() {
	f.window.untake()
	f.recycle()
}

// recycle gives the flight back, with nothing in it that would keep a fetch alive, and the
// message to the client: what it and the others of its batch lie in is used again.
func (f *flight) recycle() {
	f.message.Recycle()
	f.message, f.window, f.rejected = nil, nil, nil
	f.record = processor.Record{}
	f.unheard.Store(false)
	f.source.flights.Put(f)
}

// rejection is the result of a record that the sink need not see.
func rejection(r *processor.Reject) processor.Result { return processor.Result{Reject: r} }

package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/processor"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The headers of a dead letter, beside those of package processor and those that the record
// came with.
const (
	headerTopic     = "roost-error-topic"
	headerPartition = "roost-error-partition"
	headerOffset    = "roost-error-offset"
)

// reportsMax bounds what the client buffers of dead letters and results; beyond it they
// wait for their next try.
const reportsMax = 10_000

// report is a dead letter or a result on its way to its topic. Its flight is not final
// before it is acknowledged.
type report struct {
	flight *flight
	record *kgo.Record
	letter bool
}

// unsent holds the reports that wait to be sent again. There are at most as many as
// records in work, which the windows bound.
type unsent struct {
	mu   sync.Mutex
	list []report
}

// report tells the topics what became of a record, as far as there are any, and makes it
// final once they have acknowledged it.
func (s *Source) report(f *flight, r *processor.Result) {
	var list [2]report
	n := 0
	if r.Reject != nil {
		if s.cfg.DeadLetterTopic != "" {
			list[n] = report{f, s.letter(f.message, r.Reject), true}
			n++
		} else {
			s.count.deadDropped.Add(1)
			s.log.Complain("reject "+r.Reject.Code, "kafka: a record can never succeed and is dropped: there is no dead_letter_topic",
				"code", r.Reject.Code, "detail", r.Reject.Detail, "topic", f.message.Topic, "partition", f.message.Partition, "offset", f.message.Offset)
		}
	}
	if s.cfg.ResultsTopic != "" {
		list[n] = report{f, s.result(f, r), false}
		n++
	}
	if n == 0 {
		f.finish()
		return
	}
	f.awaited.Store(int32(n))
	for _, t := range list[:n] {
		s.send(t)
	}
}

// letter returns the record for the dead letter topic: as it came, with the reason.
func (s *Source) letter(m *kgo.Record, why *processor.Reject) *kgo.Record {
	headers := make([]kgo.RecordHeader, 0, len(m.Headers)+5)
	for _, h := range m.Headers {
		if !strings.HasPrefix(h.Key, processor.HeaderErrorDetail) { // of an earlier burial: the last one counts
			headers = append(headers, h)
		}
	}
	for _, h := range [...][2]string{
		{processor.HeaderErrorCode, why.Code},
		{processor.HeaderErrorDetail, why.Detail},
		{headerTopic, m.Topic},
		{headerPartition, strconv.Itoa(int(m.Partition))},
		{headerOffset, strconv.FormatInt(m.Offset, 10)},
	} {
		headers = append(headers, kgo.RecordHeader{Key: h[0], Value: []byte(h[1])})
	}
	return &kgo.Record{Topic: s.cfg.DeadLetterTopic, Key: m.Key, Value: m.Value, Headers: headers}
}

// shrink takes out of a letter what makes it too large for its topic, first the value,
// then what headers it came with; false: nothing is left to take out.
func shrink(letter *kgo.Record) bool {
	last := &letter.Headers[len(letter.Headers)-1]
	switch {
	case last.Key != processor.HeaderLeftOut:
		letter.Value = nil
		letter.Headers = append(letter.Headers, kgo.RecordHeader{Key: processor.HeaderLeftOut, Value: []byte(processor.LeftOutValue)})
	case string(last.Value) == processor.LeftOutValue:
		letter.Key = nil
		own := append([]kgo.RecordHeader(nil), letter.Headers[len(letter.Headers)-6:]...)
		own[5].Value = []byte(processor.LeftOutAll)
		letter.Headers = own
	default:
		return false
	}
	return true
}

// outcome is the value of a record of the results topic.
type outcome struct {
	ID        string         `json:"id,omitempty"`      // as the record had it
	Message   string         `json:"message,omitempty"` // under which it is kept: GET /v1/messages/{id}
	Account   string         `json:"account,omitempty"`
	Device    string         `json:"device,omitempty"`
	Topic     string         `json:"topic,omitempty"`
	Outcomes  map[string]int `json:"outcomes,omitempty"` // devices by outcome
	Repeated  bool           `json:"repeated,omitempty"`
	Code      string         `json:"code,omitempty"`
	Detail    string         `json:"detail,omitempty"`
	Source    string         `json:"source"` // the topic that the record came from
	Partition int32          `json:"partition"`
	Offset    int64          `json:"offset"`
	AtMS      int64          `json:"at_ms"`
}

// result returns the record for the results topic.
func (s *Source) result(f *flight, r *processor.Result) *kgo.Record {
	o := outcome{
		ID: f.record.ID, Account: f.record.Account, Device: f.record.Device, Topic: f.record.Topic, Repeated: r.Repeated,
		Source: f.message.Topic, Partition: f.message.Partition, Offset: f.message.Offset, AtMS: time.Now().UnixMilli(),
	}
	if r.ID != (session.ID{}) {
		o.Message = r.ID.Text()
	}
	if r.Reject != nil {
		o.Code, o.Detail = r.Reject.Code, r.Reject.Detail
	}
	for i, n := range r.Counts {
		if n > 0 {
			if o.Outcomes == nil {
				o.Outcomes = map[string]int{}
			}
			o.Outcomes[session.Outcome(i).String()] = n
		}
	}
	value, err := json.Marshal(o)
	if err != nil {
		panic(err) // strings and numbers always have a JSON
	}
	var key []byte
	if o.ID != "" {
		key = []byte(o.ID)
	}
	return &kgo.Record{Topic: s.cfg.ResultsTopic, Key: key, Value: value, Headers: []kgo.RecordHeader{{Key: "content-type", Value: []byte("application/json")}}}
}

// send gives a report to the client, which calls reported, on a goroutine of its own or
// at once.
func (s *Source) send(t report) {
	s.client.TryProduce(context.Background(), t.record, func(_ *kgo.Record, err error) { s.reported(t, err) })
}

// reported takes the broker's word on a report.
func (s *Source) reported(t report, err error) {
	switch {
	case err == nil && t.letter:
		s.count.deadLetters.Add(1)
	case err == nil:
		s.count.reported.Add(1)
	case errors.Is(err, kgo.ErrClientClosed):
		t.flight.unheard.Store(true)
	case errors.Is(err, kerr.MessageTooLarge):
		if t.letter && shrink(t.record) {
			s.count.deadShrunk.Add(1)
			s.send(report{t.flight, again(t.record), true})
			return
		}
		s.dropped(t, err)
	default:
		s.count.reportsAgain.Add(1)
		s.log.Complain("report "+t.record.Topic, "kafka: a dead letter or result was not taken; it is sent again, and its record stays uncommitted", "topic", t.record.Topic, "err", err)
		s.unsent.mu.Lock()
		s.unsent.list = append(s.unsent.list, report{t.flight, again(t.record), t.letter})
		s.unsent.mu.Unlock()
		return
	}
	if t.flight.awaited.Add(-1) > 0 {
		return
	}
	if t.flight.unheard.Load() {
		t.flight.giveUp()
		return
	}
	t.flight.finish()
}

// dropped counts a report that its topic takes in no size. It must not hold up its
// partition for ever.
func (s *Source) dropped(t report, err error) {
	if t.letter {
		s.count.deadDropped.Add(1)
	} else {
		s.count.resultsLost.Add(1)
	}
	m := t.flight.message
	s.log.Complain("dropped "+t.record.Topic, "kafka: a dead letter or result is dropped: its topic takes it in no size, raise max.message.bytes there",
		"topic", t.record.Topic, "err", err, "source", m.Topic, "partition", m.Partition, "offset", m.Offset)
}

// again returns a record with the same content that was never sent: the client notes
// in a record where it went.
func again(r *kgo.Record) *kgo.Record {
	return &kgo.Record{Topic: r.Topic, Key: r.Key, Value: r.Value, Headers: r.Headers}
}

// tend sends again what was not taken, and resumes partitions whose window is short
// again, until ctx ends.
func (s *Source) tend(ctx context.Context) {
	tick := time.NewTicker(s.cfg.ReportRetry)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.resume:
			s.resumeWindows()
		case <-tick.C:
			s.unsent.mu.Lock()
			list := s.unsent.list
			s.unsent.list = nil
			s.unsent.mu.Unlock()
			for _, t := range list {
				s.send(t)
			}
		}
	}
}

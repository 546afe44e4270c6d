package jetstream

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/roostpush/roost/session/processor"
)

// deaf is a stream for dead letters that does not answer; it counts who asked.
type deaf struct {
	jetstream.JetStream
	asked int
}

func (d *deaf) PublishMsg(context.Context, *nats.Msg, ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	d.asked++
	return nil, context.DeadlineExceeded
}

// answered is a message that counts how it was answered.
type answered struct {
	jetstream.Msg
	delays []time.Duration
}

func (m *answered) Data() []byte         { return nil }
func (m *answered) Headers() nats.Header { return nil }
func (m *answered) Subject() string      { return "push" }
func (m *answered) NakWithDelay(d time.Duration) error {
	m.delays = append(m.delays, d)
	return nil
}

// TestDeadLettersDoNotHoldUpTheEnd: what is still to be buried when the source stops is
// given back; each letter that nobody takes would cost letter_timeout.
func TestDeadLettersDoNotHoldUpTheEnd(t *testing.T) {
	cfg := Default()
	cfg.DeadLetterSubject = "dead"
	stream := new(deaf)
	s := &Source{cfg: cfg, stream: stream, log: processor.NewComplaints(slog.New(slog.DiscardHandler), time.Hour, time.Now)}
	s.letters.wake = make(chan struct{}, 1)
	l := &s.lanes[0]
	l.init(s, laneSubjects{})
	var messages [3]answered
	for i := range messages {
		f := &flight{lane: l, message: &messages[i], sequence: uint64(i)}
		l.inWork[f.sequence] = f
		f.land(processor.Result{Reject: &processor.Reject{Code: processor.CodeIDInvalid}})
	}
	ctx, stop := context.WithCancelCause(context.Background())
	stop(errors.New("the source stops"))
	s.bury(ctx)
	for i := range messages {
		if d := messages[i].delays; len(d) != 1 || d[0] != cfg.NakDelay {
			t.Errorf("message %d was given back after %v", i, d)
		}
	}
	if n, _ := l.size(); stream.asked != 0 || n != 0 || s.Stats().GivenBack != 3 || s.Stats().Rejected != 3 || s.Stats().Final != 0 {
		t.Errorf("%d letters were sent, %d messages are in work, %+v", stream.asked, n, s.Stats())
	}
}

package jetstream

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/roostpush/roost/session/processor"
)

// queue hands flights from whoever brings a result, who must not wait for the network,
// to the goroutine that answers the server. in_work_max bounds it.
type queue struct {
	wake chan struct{} // holds one

	mu   sync.Mutex
	list []*flight
}

func (q *queue) add(f *flight) {
	q.mu.Lock()
	q.list = append(q.list, f)
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default: // it is awake already
	}
}

// take returns everything that waits.
func (q *queue) take() []*flight {
	q.mu.Lock()
	defer q.mu.Unlock()
	list := q.list
	q.list = nil
	return list
}

// each calls answer for every flight that is added, until ctx ends; then for those that
// are left, with over.
func (q *queue) each(ctx context.Context, answer func(f *flight, over bool)) {
	for over := false; ; {
		for _, f := range q.take() {
			answer(f, over || ctx.Err() != nil)
		}
		if over {
			return
		}
		select {
		case <-ctx.Done():
			over = true
		case <-q.wake:
		}
	}
}

// settle acknowledges what is final and gives back what is not.
func (s *Source) settle(ctx context.Context) {
	s.acks.each(ctx, func(f *flight, _ bool) {
		m := f.newest()
		switch {
		case !f.again:
			s.told(m.Ack())
			s.count.final.Add(1)
		case f.delay > 0:
			s.told(m.NakWithDelay(f.delay))
			s.count.givenBack.Add(1)
		default:
			s.told(m.Nak())
			s.count.givenBack.Add(1)
		}
		f.lane.left(f)
	})
}

// told counts an answer that did not go out. The server gives the message again after
// ack_wait, and its id, if it has one, keeps it from being pushed twice.
func (s *Source) told(err error) {
	if err != nil {
		s.count.unheard.Add(1)
		s.log.Complain("answer", "jetstream: the server could not be told what became of a message; it comes again", "err", err)
	}
}

// The headers of a dead letter, beside those of package processor and those that the
// message came with.
const (
	headerSubject  = "roost-error-subject"
	headerStream   = "roost-error-stream"
	headerSequence = "roost-error-sequence"
)

// bury sends rejected messages to the dead letter subject, and terminates each once that
// has acknowledged it. Those that are left when the source stops are given back: a subject
// that does not answer would hold up its end by letter_timeout for each.
func (s *Source) bury(ctx context.Context) {
	s.letters.each(ctx, func(f *flight, over bool) {
		m := f.newest()
		if over {
			s.told(m.NakWithDelay(s.cfg.NakDelay))
			s.count.givenBack.Add(1)
			f.lane.left(f)
			return
		}
		switch err := s.publish(f, m); {
		case err == nil:
			s.told(m.TermWithReason(f.rejected.Code))
			s.count.final.Add(1)
		default:
			s.count.lettersAgain.Add(1)
			s.log.Complain("letter", "jetstream: a dead letter was not taken; its message comes again", "subject", s.cfg.DeadLetterSubject, "err", err)
			s.told(m.NakWithDelay(s.cfg.NakDelay))
		}
		f.lane.left(f)
	})
}

// publish puts a dead letter into its stream and waits for the acknowledgement.
func (s *Source) publish(f *flight, m jetstream.Msg) error {
	if s.cfg.DeadLetterSubject == "" {
		s.count.deadDropped.Add(1)
		s.log.Complain("reject "+f.rejected.Code, "jetstream: a message can never succeed and is dropped: there is no dead_letter_subject",
			"code", f.rejected.Code, "detail", f.rejected.Detail, "subject", m.Subject(), "sequence", f.sequence)
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.LetterTimeout)
	defer cancel()
	letter := s.letter(f, m)
	// The same letter twice is one, as long as its stream looks back (Duplicates).
	once := jetstream.WithMsgID(s.cfg.Stream + "-" + strconv.FormatUint(f.sequence, 10))
	_, err := s.stream.PublishMsg(ctx, letter, once)
	for _, left := range [...]string{processor.LeftOutValue, processor.LeftOutAll} {
		if !tooLarge(err) {
			break
		}
		letter.Data = nil
		if left == processor.LeftOutAll {
			letter.Header = nats.Header{}
			s.address(letter.Header, f, m)
		}
		letter.Header.Set(processor.HeaderLeftOut, left)
		s.count.deadShrunk.Add(1)
		_, err = s.stream.PublishMsg(ctx, letter, once)
	}
	switch {
	case tooLarge(err): // it must not come again for ever
		s.count.deadDropped.Add(1)
		s.log.Complain("dropped", "jetstream: a dead letter is dropped: its stream takes it in no size, raise its max_msg_size", "err", err, "subject", m.Subject(), "sequence", f.sequence)
		return nil
	case err == nil:
		s.count.deadLetters.Add(1)
	}
	return err
}

// tooLarge reports whether the client or the stream refused a letter for its size.
func tooLarge(err error) bool {
	return errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, jetstream.ErrStreamMessageExceedsMaximum)
}

// letter returns the message for the dead letter subject: as it came, with the reason.
// What its headers told the server then (Nats-Expected-..., Nats-TTL) is left out.
func (s *Source) letter(f *flight, m jetstream.Msg) *nats.Msg {
	letter := &nats.Msg{Subject: s.cfg.DeadLetterSubject, Header: nats.Header{}, Data: m.Data()}
	for name, values := range m.Headers() {
		if !strings.HasPrefix(strings.ToLower(name), "nats-") {
			letter.Header[name] = values
		}
	}
	s.address(letter.Header, f, m)
	return letter
}

// address notes why the message is rejected, and where it came from.
func (s *Source) address(h nats.Header, f *flight, m jetstream.Msg) {
	h.Set(processor.HeaderErrorCode, f.rejected.Code)
	h.Set(processor.HeaderErrorDetail, oneLine(f.rejected.Detail))
	h.Set(headerSubject, m.Subject())
	h.Set(headerStream, s.cfg.Stream)
	h.Set(headerSequence, strconv.FormatUint(f.sequence, 10))
}

// oneLine keeps a sentence within its header.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\r' || r == '\n' {
			return ' '
		}
		return r
	}, s)
}

// await waits for what is in work, at most stop_timeout.
func (s *Source) await() {
	over := time.NewTimer(s.cfg.StopTimeout)
	defer over.Stop()
	for p := range s.lanes {
		select {
		case <-s.lanes[p].empty():
		case <-over.C:
			for p := range s.lanes {
				n, _ := s.lanes[p].size()
				s.count.abandoned.Add(uint64(n))
			}
			return
		}
	}
}

// flush lets the last answers reach the server.
func (s *Source) flush() {
	if err := s.conn.FlushTimeout(s.cfg.StopTimeout); err != nil {
		s.told(err)
	}
}

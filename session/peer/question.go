package peer

import (
	"errors"
	"sync"
	"time"

	"github.com/roostpush/roost/session/wire"
)

// The errors with which a question ends that gets no answer.
var (
	ErrUnreachable = errors.New("peer: no link to that node")
	ErrOverloaded  = errors.New("peer: the link takes no more questions now")
	ErrLost        = errors.New("peer: the link ended before the answer came")
	ErrTimeout     = errors.New("peer: no answer in time")
	ErrInvalid     = errors.New("peer: the question has a name that no device can have, or is larger than a frame")
)

// questions are those of one link whose answer is awaited.
type questions struct {
	mu     sync.Mutex
	max    int
	newest uint64
	open   map[uint64]question
	closed bool
}

type question struct {
	due    uint32
	answer func(*wire.LinkAnswer, error)
}

// Ask asks another node. answer is called exactly once, with the answer, which is
// borrowed, or with one of the errors above; maybe before Ask returns, and it must not
// block. An answer whose Error is not empty is the other node's refusal. q is borrowed
// and its Ref ignored.
func (p *Pool) Ask(node string, q *wire.LinkQuestion, timeout time.Duration, answer func(*wire.LinkAnswer, error)) {
	p.count.questions.Add(1)
	if err := p.ask(node, q, timeout, answer); err != nil {
		p.count.questionsLost.Add(1)
		answer(nil, err)
	}
}

func (p *Pool) ask(node string, q *wire.LinkQuestion, timeout time.Duration, answer func(*wire.LinkAnswer, error)) error {
	pr := p.live(node)
	if pr == nil {
		return ErrUnreachable
	}
	if !q.Valid() || wire.LinkHeaderBytes+q.SizeMax() > pr.control.sendMax {
		return ErrInvalid
	}
	c := *q
	due := p.ticks.Load() + p.ticksOf(timeout) + 1
	var err error
	if c.Ref, err = pr.questions.add(question{due, answer}); err != nil {
		return err
	}
	if !pr.control.control(wire.LinkTypeQuestion, wire.AppendLinkQuestion(nil, &c)) {
		if _, waits := pr.questions.take(c.Ref); waits { // else it has been told that the link was lost
			return ErrOverloaded
		}
	}
	return nil
}

func (s *questions) add(q question) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return 0, ErrUnreachable
	case len(s.open) >= s.max:
		return 0, ErrOverloaded
	case s.open == nil:
		s.open = make(map[uint64]question)
	}
	s.newest++
	s.open[s.newest] = q
	return s.newest, nil
}

func (s *questions) take(ref uint64) (q question, waits bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, waits = s.open[ref]
	delete(s.open, ref)
	return q, waits
}

func (s *questions) answered(p *Pool, a *wire.LinkAnswer) {
	q, waits := s.take(a.Ref)
	if !waits {
		p.count.late.Add(1)
		return
	}
	q.answer(a, nil)
}

// expire ends the questions that are due at the tick now.
func (s *questions) expire(p *Pool, now uint32) {
	var late []question
	s.mu.Lock()
	for ref, q := range s.open {
		if int32(now-q.due) >= 0 {
			late = append(late, q)
			delete(s.open, ref)
		}
	}
	s.mu.Unlock()
	p.count.questionsLost.Add(uint64(len(late)))
	for _, q := range late {
		q.answer(nil, ErrTimeout)
	}
}

// lost ends all questions, and none can be added any more.
func (s *questions) lost(p *Pool) {
	s.mu.Lock()
	open := s.open
	s.open, s.closed = nil, true
	s.mu.Unlock()
	p.count.questionsLost.Add(uint64(len(open)))
	for _, q := range open {
		q.answer(nil, ErrLost)
	}
}

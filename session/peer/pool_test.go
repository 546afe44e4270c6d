package peer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

func TestThreeNodes(t *testing.T) {
	a, b, c := start(t, "a", 1), start(t, "b", 2), start(t, "c", 3)
	introduce(t, a, b, c)
	e := expecting(6)
	tag := uint64(0)
	for _, from := range []*node{a, b, c} {
		for _, to := range []*node{a, b, c} {
			if from != to {
				from.Send(to.self.Node, message("from-"+from.self.Node), e, tag)
				tag++
			}
		}
	}
	if sum := e.wait(t); sum[session.Written] != 6 {
		t.Errorf("outcomes are %v", sum)
	}
	for _, to := range []*node{a, b, c} {
		for _, from := range []*node{a, b, c} {
			if want := fmt.Sprintf("forwarded %s alice/from-%s {\"a\":1}", from.self.Node, from.self.Node); from != to && !to.heard(want) {
				t.Errorf("%s did not hear %q", to.self.Node, want)
			}
		}
	}
	if l := b.Links(); len(l) != 2 || l[0].InFlight != 0 {
		t.Errorf("links are %+v", l)
	}
	until(t, "a has counted what came", func() bool { return a.Stats().Forwarded == 2 && a.Stats().FramesIn >= 4 })
	if s := a.Stats(); s.Links != 2 || s.Sent != 2 || s.BytesIn == 0 || s.BytesOut == 0 {
		t.Errorf("stats are %+v", s)
	}
}

// TestOrder sends from one goroutine in each direction at once: every message comes,
// in order, and so does every outcome.
func TestOrder(t *testing.T) {
	const messages = 20_000
	var mu sync.Mutex
	last := map[string]session.MessageID{}
	ordered := func(n *node, _ *Config, self *Identity, _ *Handlers) {
		name := self.Node
		n.on = func(f *wire.Forward, reply Reply) {
			mu.Lock()
			if f.ID != last[name]+1 {
				t.Errorf("%d came after %d", f.ID, last[name])
			}
			last[name] = f.ID
			mu.Unlock()
			reply.Outcome(session.Acked)
		}
	}
	a, b := start(t, "a", 1, ordered), start(t, "b", 1, ordered)
	introduce(t, a, b)
	receipts := [2]*ends{expecting(messages), expecting(messages)}
	var work sync.WaitGroup
	for i, from := range []*node{a, b} {
		work.Go(func() {
			to := []string{"b", "a"}[i]
			m := message("tv")
			for id := range uint64(messages) {
				m.ID = session.MessageID(id + 1)
				from.Send(to, m, receipts[i], id)
			}
		})
	}
	work.Wait()
	for _, e := range receipts {
		if sum := e.wait(t); sum[session.Acked] != messages {
			t.Errorf("outcomes are %v", sum)
		}
	}
}

// many is a receipt that keeps the outcomes of one message.
type many struct {
	mu    sync.Mutex
	text  []string
	final chan session.Outcome // Pending: answered
}

func (m *many) Answered(_ uint64, o *wire.Outcomes) {
	m.mu.Lock()
	for _, d := range o.Devices {
		m.text = append(m.text, strings.Clone(d.Device)+":"+d.Outcome.String())
	}
	if n := o.Counts[session.Written]; n > 0 {
		m.text = append(m.text, fmt.Sprint(n, " written"))
	}
	m.mu.Unlock()
	if o.Final {
		m.final <- session.Pending
	}
}

func (m *many) Failed(_ uint64, o session.Outcome) { m.final <- o }

// TestOutcomesOfMany has an account answered in two parts and everybody by counts.
func TestOutcomesOfMany(t *testing.T) {
	a := start(t, "a", 1)
	b := start(t, "b", 1, func(n *node, _ *Config, _ *Identity, _ *Handlers) {
		n.on = func(f *wire.Forward, reply Reply) {
			if !f.All {
				reply.Outcomes(&wire.Outcomes{Devices: []wire.DeviceOutcome{{Device: "phone", Outcome: session.Written}}})
				reply.Outcomes(&wire.Outcomes{Devices: []wire.DeviceOutcome{{Device: "tv", Outcome: session.Lost}}, Final: true})
				return
			}
			devices := make([]wire.DeviceOutcome, 1500) // 1000 are listed, 500 counted
			for i := range devices {
				devices[i] = wire.DeviceOutcome{Device: "d", Outcome: session.Written}
			}
			reply.Outcomes(&wire.Outcomes{Devices: devices, Final: true})
		}
	})
	introduce(t, a, b)
	m := &many{final: make(chan session.Outcome, 1)}
	a.Send("b", &wire.Forward{Account: "alice", Payload: []byte("1")}, m, 0)
	if o := <-m.final; o != session.Pending || fmt.Sprint(m.text) != "[phone:written tv:lost]" {
		t.Errorf("%v %v", o, m.text)
	}
	m = &many{final: make(chan session.Outcome, 1)}
	a.Send("b", &wire.Forward{All: true, Payload: []byte("1")}, m, 0)
	if o := <-m.final; o != session.Pending || len(m.text) != 1001 || m.text[1000] != "500 written" {
		t.Errorf("%v %d", o, len(m.text))
	}
}

func TestControl(t *testing.T) {
	a, b := start(t, "a", 1), start(t, "b", 1)
	author := session.Origin{Node: "z", Epoch: 9}
	send := func() bool {
		return a.Control("b", wire.LinkTypeDelta, wire.AppendDelta(nil, &wire.Delta{Author: author, First: 7, Changes: make([]wire.Change, 3)}))
	}
	if send() || a.Stats().ControlRefused != 1 {
		t.Error("a delta was taken without a link")
	}
	introduce(t, a, b)
	send()
	a.Control("b", wire.LinkTypeHeads, wire.AppendHeads(nil, &wire.Heads{Heads: []wire.Head{{Author: author}}}))
	a.Control("b", wire.LinkTypeLogRequest, wire.AppendLogRequest(nil, &wire.LogRequest{Author: author, From: 4}))
	a.Control("b", wire.LinkTypeKeep, wire.AppendKeep(nil, &wire.Keep{Ref: 3, KeepState: wire.KeepState{Holding: true}, Facts: []session.Fact{{Address: session.Address{Account: "a", Device: "d"}, Origin: author}}}))
	a.Control("b", wire.LinkTypeKept, wire.AppendKept(nil, &wire.Kept{Ref: 3}))
	id := session.ID{Origin: author, Number: 5}
	a.Control("b", wire.LinkTypeMail, wire.AppendMail(nil, &wire.Mail{Ref: 6, Account: "a", Payload: []byte("1")}))
	a.Control("b", wire.LinkTypeMailed, wire.AppendMailed(nil, &wire.Mailed{Ref: 6, ID: id, Refused: session.Overloaded}))
	a.Control("b", wire.LinkTypeMailFate, wire.AppendMailFate(nil, &wire.MailFate{ID: id, Device: "d", Outcome: session.Acked}))
	a.Control("b", wire.LinkTypeMailAck, wire.AppendMailAck(nil, &wire.MailAck{ID: id, Account: "a", Device: "d"}))
	a.Control("b", wire.LinkTypeMailKeys, wire.AppendMailKeys(nil, &wire.MailKeys{Ref: 7, Keys: []wire.MailKey{{FiledKey: session.FiledKey{Key: session.Key{Hash: [16]byte{1}}, ID: id}}}}))
	a.Control("b", wire.LinkTypeMailFiled, wire.AppendMailFiled(nil, &wire.MailFiled{Ref: 7, Filed: true}))
	a.Control("b", wire.LinkTypeMailSettled, wire.AppendMailSettled(nil, &wire.MailSettled{Settled: true, Members: 7}))
	a.Control("b", wire.LinkTypeTopicMove, wire.AppendTopicMove(nil, &wire.TopicMove{Ref: 8, Keeper: author, Topic: "news", Messages: []wire.TopicKept{{ID: id, Position: 1}}}))
	a.Control("b", wire.LinkTypeTopicMoved, wire.AppendTopicMoved(nil, &wire.TopicMoved{Ref: 8, Taken: true}))
	a.Control("b", wire.LinkTypeInterest, wire.AppendInterest(nil, &wire.Interest{Begin: true, Changes: []wire.InterestChange{{Pattern: "a.*"}}}))
	a.Control("b", wire.LinkTypeSnapshot, wire.AppendSnapshotChunk(nil, &wire.SnapshotChunk{Author: author, Index: 2, Last: true}))
	until(t, "all control frames", func() bool { return b.heard("chunk a 2 true") })
	for _, want := range []string{"delta a z 7 3", "heads a 1", "request a 4", "keep a 3 true 1", "kept a 3 false", "mail a 6 1", "mailed a 6 overloaded", "fate a d acked", "ack a d", "keys a 7 1", "filed a 7 true", "settled a true 7", "topic move a 8 news 1", "topic moved a 8 true", "interest a true [{a.* false}]"} {
		if !b.heard(want) {
			t.Errorf("b did not hear %q", want)
		}
	}
}

// TestOlderNode is not sent what it does not know: that would end the link.
func TestOlderNode(t *testing.T) {
	b := start(t, "b", 1)
	var theirs wire.LinkHello
	var messages *raw
	for _, channel := range []wire.LinkChannel{wire.ChannelControl, wire.ChannelMessages} {
		r := dialRaw(t, b.addr)
		messages = r
		hello := Identity{Cluster: "test", Node: "a", Epoch: 1}.hello(&b.cfg, channel, 1)
		hello.Minor, hello.Challenge = 0, theirs.Challenge
		r.say(t, hello)
		typ, body, err := r.next()
		if err == nil {
			err = wire.ParseLinkHello(body, &theirs)
		}
		if typ != wire.LinkTypeHello || err != nil {
			t.Fatal(typ, err)
		}
	}
	until(t, "a is up", func() bool { return b.heard("up a 1") })
	for _, typ := range []wire.LinkType{wire.LinkTypeKeep, wire.LinkTypeKept, wire.LinkTypeMail, wire.LinkTypeMailed, wire.LinkTypeMailFate, wire.LinkTypeMailAck, wire.LinkTypeMailMove, wire.LinkTypeMailMoved, wire.LinkTypeMailUnwatch, wire.LinkTypeMailKeys, wire.LinkTypeMailFiled, wire.LinkTypeMailSettled, wire.LinkTypeTopicMove, wire.LinkTypeTopicMoved, wire.LinkTypeInterest} {
		if b.Speaks("a", typ) || b.Control("a", typ, []byte{1}) {
			t.Errorf("%v is sent to a node of version 1.0", typ)
		}
	}
	m := &many{final: make(chan session.Outcome, 1)}
	b.Send("a", &wire.Forward{Account: "alice", Device: "tv", Ack: true, Payload: []byte("1")}, m, 3)
	if o := <-m.final; o != session.Unreachable || b.Stats().Older != 1 {
		t.Error("a message that a does not understand is sent to it")
	}
	// A traceparent is left out for it, and the message is not.
	traced := wire.Forward{Account: "alice", Device: "tv", Payload: []byte("1"), Trace: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
	b.Send("a", &traced, nil, 0)
	typ, body, err := messages.next()
	for err == nil && typ != wire.LinkTypeForward {
		typ, body, err = messages.next()
	}
	var f wire.Forward
	if err == nil {
		_, err = wire.ParseForward(body, &f)
	}
	if err != nil || f.Trace != "" || string(f.Payload) != "1" || traced.Trace == "" {
		t.Errorf("sent %+v: %v", f, err)
	}
	e := expecting(1)
	b.Send("a", &wire.Forward{Topic: "news"}, e, 0)
	if got := e.all[0]; len(got) != 1 || got[0] != session.Unreachable {
		t.Errorf("a message to a topic: %v", got)
	}
	if !b.Speaks("a", wire.LinkTypeDelta) || b.Speaks("nobody", wire.LinkTypeDelta) {
		t.Error("a knows deltas, and nobody knows nothing")
	}
}

func TestQuestions(t *testing.T) {
	var kept AnswerReply
	asked := make(chan struct{}, 10)
	a := start(t, "a", 1, func(_ *node, cfg *Config, _ *Identity, _ *Handlers) { cfg.QuestionsMax = 1 })
	b := start(t, "b", 1, func(n *node, _ *Config, _ *Identity, _ *Handlers) {
		n.asked = func(q *wire.LinkQuestion, reply AnswerReply) {
			switch q.Device {
			case "silent":
				kept = reply
				asked <- struct{}{}
			case "large":
				reply.Answer(&wire.LinkAnswer{Body: make([]byte, 4<<20)})
			default:
				reply.Answer(&wire.LinkAnswer{Held: true, Version: q.Version + 1, Body: []byte(q.Account)})
			}
		}
	})
	ask := func(device string, timeout time.Duration) (text string) {
		heard := make(chan string, 1)
		a.Ask("b", &wire.LinkQuestion{Kind: wire.QuestionHolds, Account: "alice", Device: device, Version: 4}, timeout, func(answer *wire.LinkAnswer, err error) {
			if err != nil {
				heard <- err.Error()
				return
			}
			heard <- fmt.Sprint(answer.Held, answer.Version, string(answer.Body), answer.Error)
		})
		return <-heard
	}
	if got := ask("tv", time.Minute); got != ErrUnreachable.Error() {
		t.Error(got)
	}
	introduce(t, a, b)
	for device, want := range map[string]string{
		"tv": "true 5alice", "large": "false 0the answer of 4194304 bytes is larger than a frame", "a b": ErrInvalid.Error(),
	} {
		if got := ask(device, time.Minute); got != want {
			t.Errorf("%s: %q, want %q", device, got, want)
		}
	}
	if got := ask("silent", time.Millisecond); got != ErrTimeout.Error() {
		t.Error(got)
	}
	<-asked
	kept.Answer(&wire.LinkAnswer{})
	until(t, "the late answer is counted", func() bool { return a.Stats().LateAnswers == 1 })
	lost := make(chan error, 1)
	a.Ask("b", &wire.LinkQuestion{Kind: 1, Device: "silent"}, time.Minute, func(_ *wire.LinkAnswer, err error) { lost <- err })
	if got := ask("tv", time.Minute); got != ErrOverloaded.Error() {
		t.Error(got)
	}
	<-asked
	b.Close()
	if err := <-lost; !errors.Is(err, ErrLost) {
		t.Error(err)
	}
	if s := a.Stats(); s.Questions != 7 || s.QuestionsLost != 5 {
		t.Errorf("%d questions, %d lost", s.Questions, s.QuestionsLost)
	}
}

func TestIdentify(t *testing.T) {
	a := start(t, "a", 7)
	ask := func(change func(*Identity)) (session.Origin, error) {
		self := Identity{Cluster: "test", Node: "a", Epoch: 3}
		change(&self)
		return Identify(context.Background(), fast(), self, a.addr)
	}
	if o, err := ask(func(*Identity) {}); err != nil || o != a.self.Origin() {
		t.Errorf("%v, %v", o, err)
	}
	var refused *RefusedError
	if _, err := ask(func(i *Identity) { i.Cluster = "other" }); !errors.As(err, &refused) || refused.Reason != wire.GoodbyeCluster || !refused.ByThem {
		t.Errorf("of another cluster: %v", err)
	}
	a.Close()
	refused = nil
	if o, err := ask(func(*Identity) {}); err == nil || errors.As(err, &refused) {
		t.Errorf("nobody is there: %v, %v", o, err)
	}
}

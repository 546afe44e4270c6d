package cluster

import (
	"slices"
	"strings"
	"sync"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/home"
	"github.com/roostpush/roost/session/peer"
	"github.com/roostpush/roost/session/topics"
	"github.com/roostpush/roost/session/wire"
)

// topicHomes is where the windows of topics are (topics.Others).
type topicHomes struct{ c *Cluster }

// TopicHomes returns the other nodes as package topics sees them.
func (c *Cluster) TopicHomes() topics.Others { return topicHomes{c} }

// ofTopic returns the home of a topic, whose name is borrowed; it allocates nothing.
func (h *homes) ofTopic(topic string) string { return h.members.Load().Home(home.Hash(topic)) }

// Home says which node keeps the window of a topic. One without a link keeps nothing of
// what is published meanwhile: the window is no promise.
func (t topicHomes) Home(topic string) (node string, here bool) {
	node = t.c.homes.ofTopic(topic)
	switch {
	case node == t.c.self.Node:
		return "", true
	case !t.c.pool.Speaks(node, wire.LinkTypeInterest):
		return "", false
	}
	return node, false
}

// Told calls f once the others know what this node's devices have subscribed to.
func (t topicHomes) Told(f func(all bool)) { t.c.telling.told(f) }

// Ask asks the homes of topics, and of a pattern all nodes. It waits until all nodes know
// that this one has a subscriber: what they are given before that the home has got, or is
// about to, and what comes later they send here.
func (t topicHomes) Ask(patterns []string, since session.ID, answer func(list []topics.Replay, lacking bool)) {
	c := t.c
	c.telling.told(func(all bool) {
		questions := t.questions(patterns)
		var mu sync.Mutex
		var list []topics.Replay
		open, lacking := len(questions)+1, !all
		done := func(p *topics.Replay, ok bool) {
			mu.Lock()
			if p != nil {
				list = append(list, *p)
			}
			lacking = lacking || !ok
			open--
			last := open == 0
			mu.Unlock()
			if last {
				answer(list, lacking)
			}
		}
		for node, asked := range questions {
			q := wire.LinkQuestion{Kind: wire.QuestionReplay, Body: wire.AppendReplayQuestion(nil, &wire.ReplayQuestion{Since: since, Patterns: asked})}
			c.pool.Ask(node, &q, c.settings.TopicAskTimeout, func(a *wire.LinkAnswer, err error) {
				if err != nil || a.Error != "" {
					done(nil, false)
					return
				}
				p, err := replayOf(a.Body)
				if err != nil {
					c.log.Warn("a node sends nonsense about topics", "node", node, "error", err)
				}
				done(p, err == nil)
			})
		}
		done(nil, true)
	})
}

// questions says what which node is to be asked.
func (t topicHomes) questions(patterns []string) map[string][]string {
	c, questions := t.c, map[string][]string{}
	for _, p := range patterns {
		if isPattern(p) {
			for _, node := range c.appendMembers(nil) {
				questions[node] = append(questions[node], p)
			}
		} else if node := c.homes.ofTopic(p); node != c.self.Node {
			questions[node] = append(questions[node], p)
		}
	}
	return questions
}

// replayOf reads what another node's window has. It owns its bytes.
func replayOf(body []byte) (*topics.Replay, error) {
	var a wire.ReplayAnswer
	if err := wire.ParseReplayAnswer(body, &a); err != nil {
		return nil, err
	}
	p := &topics.Replay{Found: a.Found, Complete: a.Complete, FoundMS: a.FoundMS, GoneMS: a.GoneMS}
	for i := range a.Messages {
		m := &a.Messages[i]
		m.Topic, m.Payload = strings.Clone(m.Topic), slices.Clone(m.Payload)
		p.Messages = append(p.Messages, &topics.Retained{Origin: m.Origin, Message: m.Message})
	}
	return p, nil
}

// answerReplay says what the window of this node has.
func (c *Cluster) answerReplay(q *wire.LinkQuestion, way peer.AnswerReply) {
	var asked wire.ReplayQuestion
	if err := wire.ParseReplayQuestion(slices.Clone(q.Body), &asked); err != nil { // it is kept
		way.Answer(&wire.LinkAnswer{Error: err.Error()})
		return
	}
	c.answerLater(way, func() *wire.LinkAnswer {
		p, _ := c.node.Topics.Since(asked.Patterns, asked.Since)
		body := wire.AppendReplayAnswer(nil, &wire.ReplayAnswer{Found: p.Found, Complete: p.Complete, FoundMS: p.FoundMS, GoneMS: p.GoneMS})
		for _, m := range p.Messages {
			body = wire.AppendReplayMessage(body, m.Origin, &m.Message)
		}
		return &wire.LinkAnswer{Held: p.Found, Body: body}
	})
}

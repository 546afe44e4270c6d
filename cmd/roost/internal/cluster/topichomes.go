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

// topicHomes is where the windows of topics are, and go (topics.Others, topics.Heirs).
type topicHomes struct{ c *Cluster }

// TopicHomes returns the other nodes as package topics sees them.
func (c *Cluster) TopicHomes() topics.Others { return topicHomes{c} }

// homeMovesMS is how long the nodes may take to agree on who the members are, milliseconds:
// as long a former home keeps what it is sent by those who have not heard yet.
const homeMovesMS = 10_000

// Home says which node keeps the window of a topic. One without a link keeps nothing of
// what is published meanwhile: the window is no promise.
func (t topicHomes) Home(topic string) (node string, here bool) {
	c, hash := t.c, home.Hash(topic)
	if node = c.homes.members.Load().Home(hash); node == c.self.Node {
		return "", true
	}
	if !c.pool.Speaks(node, wire.LinkTypeInterest) {
		node = ""
	}
	return node, c.homes.formers.past.Load().wasHome(c.self.Node, hash, c.settings.SteadyMS()-homeMovesMS)
}

// Told calls f once the others know what this node's devices have subscribed to.
func (t topicHomes) Told(f func(all bool)) { t.c.telling.told(f) }

// Ask asks the homes of topics, and those that were it for as long as the windows reach back,
// since a window moves only when its home leaves for good; of a pattern it asks all nodes. It waits until all
// nodes know that this one has a subscriber: what they are given before that the home has got,
// or is about to, and what comes later they send here.
func (t topicHomes) Ask(patterns []string, since session.ID, answer func(list []topics.Replay, lacking bool)) {
	c := t.c
	c.telling.told(func(all bool) {
		questions, goneMS := t.questions(patterns)
		var mu sync.Mutex
		var list []topics.Replay
		if goneMS > 0 {
			list = append(list, topics.Replay{GoneMS: goneMS})
		}
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

// newcomersMax is how many nodes may have joined together so that one of them still finds what
// the homes before them keep: it was not there when they were, but whoever was the home then is
// the next candidate, or the one after the others that have joined.
const newcomersMax = 2

// questions says what which node is to be asked. goneMS is when the last of those went that
// may have kept something of the topics, Unix milliseconds; 0: none did.
func (t topicHomes) questions(patterns []string) (questions map[string][]string, goneMS int64) {
	c := t.c
	questions = map[string][]string{}
	members, past := c.appendMembers(nil), c.homes.formers.past.Load()
	nowMS := c.settings.SteadyMS()
	fromMS := nowMS - c.settings.TopicAge.Milliseconds()
	lostMS, candidates := int64(0), 1
	if c.startedMS >= fromMS {
		candidates = newcomersMax + 1
	}
	for _, p := range patterns {
		if isPattern(p) {
			lostMS = max(lostMS, past.lastLostMS())
			for _, node := range members {
				questions[node] = append(questions[node], p)
			}
			continue
		}
		hash := home.Hash(p)
		homes, whole := past.appendHomes(c.homes.members.Load().AppendCandidates(nil, hash, candidates), hash, fromMS)
		if !whole {
			homes = append(homes[:1], members...)
		}
		now := homes[0]
		for i, node := range homes {
			lostMS = max(lostMS, past.lostMS(node))
			isMember := slices.Contains(members, node)
			if node != c.self.Node && (isMember || node == now) && !slices.Contains(homes[:i], node) {
				questions[node] = append(questions[node], p)
			}
		}
	}
	if lostMS >= fromMS && lostMS > 0 {
		goneMS = c.nowMS() - (nowMS - lostMS)
	}
	return questions, goneMS
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
		p := c.node.Topics.Since(asked.Patterns, asked.Since)
		body := wire.AppendReplayAnswer(nil, &wire.ReplayAnswer{Found: p.Found, Complete: p.Complete, FoundMS: p.FoundMS, GoneMS: p.GoneMS})
		for _, m := range p.Messages {
			body = wire.AppendReplayMessage(body, m.Origin, &m.Message)
		}
		return &wire.LinkAnswer{Held: p.Found, Body: body}
	})
}

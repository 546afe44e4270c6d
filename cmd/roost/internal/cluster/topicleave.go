package cluster

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/roostpush/roost/session/home"
	"github.com/roostpush/roost/session/wire"
)

// Heir names the node that is the home of a topic now and can take its window.
func (t topicHomes) Heir(topic string) string {
	c := t.c
	node := c.homes.members.Load().Home(home.Hash(topic))
	// A node that is not linked may be in a moment. One that is, and does not know the frame, never will.
	if node == c.self.Node || c.pool.Speaks(node, wire.LinkTypeDelta) && !c.pool.Speaks(node, wire.LinkTypeTopicMove) {
		return ""
	}
	return node
}

// Send queues a frame for a node.
func (t topicHomes) Send(node string, typ wire.LinkType, body []byte) bool {
	return t.c.pool.Control(node, typ, body)
}

// moveSayEvery is the time between two lines of the log about a hand-over that takes long.
const moveSayEvery = time.Second

// handOverTopics is HandOver of what was published to topics. What is left of it is gone with the
// process; if nothing is, the other nodes are told, so that they do not take it for lost.
func (c *Cluster) handOverTopics() {
	t := c.node.Topics
	t.Leave() // with what was published since its last pass
	begun := time.Now()
	said := begun
	messages, stay, why := t.Left()
	for messages > 0 && len(c.appendMembers(nil)) > 0 && time.Since(begun) < c.leaveTimeout {
		time.Sleep(moveLookEvery)
		if messages, stay, why = t.Left(); time.Since(said) >= moveSayEvery {
			said = time.Now()
			c.log.Info("what was published to topics is being handed over", "messages_left", messages, "handed_over", t.Stats().Moved)
		}
	}
	nodes := c.appendMembers(nil)
	if len(nodes) == 0 {
		return // nobody could take it, and nobody is left to miss it
	}
	s := t.Stats()
	if messages+stay > 0 {
		c.log.Warn("what was published to topics goes with this node: there was no home for it, or no time", "messages", messages+stay, "no_home", stay,
			"handed_over", s.Moved, "frames_refused_by_homes", s.MovesRefused, "last_refusal", why, "leave_timeout", c.leaveTimeout)
		return
	}
	told := c.tellHandedOver(nodes)
	if s.Moved > 0 || told < len(nodes) {
		c.log.Info("all that was published to topics is handed over", "messages", s.Moved, "nodes_told", told, "nodes", len(nodes))
	}
}

// tellHandedOver tells other nodes that nothing of topics is lost when this one goes, and returns how
// many know it. The others say complete: false to devices that ask for what came before.
func (c *Cluster) tellHandedOver(nodes []string) int {
	var told atomic.Int64
	var wait sync.WaitGroup
	for _, node := range nodes {
		if !c.pool.Speaks(node, wire.LinkTypeTopicMove) {
			continue
		}
		wait.Add(1)
		c.pool.Ask(node, &wire.LinkQuestion{Kind: wire.QuestionHandedOver}, questionTimeout, func(a *wire.LinkAnswer, err error) {
			defer wait.Done()
			if err == nil && a.Error == "" {
				told.Add(1)
			}
		})
	}
	wait.Wait() // each answer comes, or its timeout
	return int(told.Load())
}

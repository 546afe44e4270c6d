package cluster

import (
	"errors"
	"sync"

	"github.com/roostpush/roost/session/peer"
	"github.com/roostpush/roost/session/wire"
)

// What other nodes know of idempotency keys (mailbox.HomesPorts).

// askKey asks nodes at the same time which message came first with a key. It waits for them, at most
// for cluster.mail.key_timeout. Those whose link has ended before it asks, or that speak an older version, are silent.
func (c *Cluster) askKey(nodes []string, hash [16]byte) (found []wire.MailKey, storing bool, silent int) {
	var mu sync.Mutex
	var wait sync.WaitGroup
	for _, node := range nodes {
		if !c.pool.Speaks(node, wire.LinkTypeMailKeys) {
			mu.Lock() // others may answer already
			silent++
			mu.Unlock()
			continue
		}
		wait.Add(1)
		c.pool.Ask(node, &wire.LinkQuestion{Kind: wire.QuestionKey, Body: hash[:]}, c.keyTimeout, func(a *wire.LinkAnswer, err error) {
			defer wait.Done()
			var k wire.MailKey
			if err == nil && a.Error != "" {
				err = errors.New(a.Error)
			}
			if err == nil && a.Held {
				err = wire.ParseMailKey(a.Body, &k)
			}
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				c.log.Debug("a node does not say whether it knows an idempotency key", "node", node, "error", err)
				silent++
			case a.Held:
				found = append(found, k)
			default:
				storing = storing || a.Version == 1
			}
		})
	}
	wait.Wait() // each answer comes, or its timeout
	return found, storing, silent
}

// answerKey answers askKey of another node, from memory.
func (c *Cluster) answerKey(q *wire.LinkQuestion, way peer.AnswerReply) {
	if len(q.Body) != 16 {
		way.Answer(&wire.LinkAnswer{Error: "the hash of an idempotency key is 16 bytes"})
		return
	}
	k, held, storing, unread := c.mail.KeyHere([16]byte(q.Body))
	switch {
	case unread:
		way.Answer(&wire.LinkAnswer{Error: "this node has not read the keys of before its start yet"})
	case held:
		way.Answer(&wire.LinkAnswer{Held: true, Body: wire.AppendMailKey(nil, &k)})
	case storing:
		way.Answer(&wire.LinkAnswer{Version: 1})
	default:
		way.Answer(&wire.LinkAnswer{})
	}
}

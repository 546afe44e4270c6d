package cluster

import (
	"encoding/json"
	"errors"
	"sync"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/api"
	"github.com/roostpush/roost/session/trace"
	"github.com/roostpush/roost/session/wire"
)

// tracedHere is what a node answers when it is asked for a message's way, as JSON.
type tracedHere struct {
	NowUS  int64         `json:"now_us"` // its clock, Unix microseconds
	Events []trace.Event `json:"events"`
}

// nowUS is the clock of this node's events.
func (c *Cluster) nowUS() int64 {
	if c.settings.Tracer == nil {
		return c.settings.Now().UnixMicro()
	}
	return c.settings.Tracer.NowUS()
}

// answerTrace says what this node remembers of a message.
func (c *Cluster) answerTrace(id session.ID, ok bool) *wire.LinkAnswer {
	if !ok {
		return &wire.LinkAnswer{Error: "that is no message's id"}
	}
	here := tracedHere{Events: c.settings.Tracer.Events(id), NowUS: c.nowUS()}
	body, err := json.Marshal(here)
	if err != nil {
		return &wire.LinkAnswer{Error: err.Error()}
	}
	return &wire.LinkAnswer{Held: len(here.Events) > 0, Body: body}
}

// Traces asks all other nodes for what they remember of a message (api.Traces).
func (c *Cluster) Traces(id session.ID) []api.NodeTrace {
	if !c.isStarted() {
		return nil
	}
	nodes := c.appendMembers(nil)
	list := make([]api.NodeTrace, len(nodes))
	var wait sync.WaitGroup
	for i, node := range nodes {
		wait.Add(1)
		one, askedUS := &list[i], c.nowUS()
		one.Node = node
		q := wire.LinkQuestion{Kind: wire.QuestionTrace, Body: []byte(id.Text())}
		c.pool.Ask(node, &q, questionTimeout, func(a *wire.LinkAnswer, err error) {
			defer wait.Done()
			answeredUS := c.nowUS()
			if err == nil && a.Error != "" {
				err = errors.New(a.Error)
			}
			var there tracedHere
			if err == nil {
				err = json.Unmarshal(a.Body, &there)
			}
			if err != nil {
				one.Error = err.Error()
				return
			}
			one.Events = there.Events
			one.SkewErrorUS = (answeredUS - askedUS + 1) / 2
			one.SkewUS = there.NowUS - (askedUS+answeredUS)/2
		})
	}
	wait.Wait() // each answer comes, or its timeout
	return list
}

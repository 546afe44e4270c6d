package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/api"
	"github.com/roostpush/roost/session/peer"
	"github.com/roostpush/roost/session/wire"
)

// questionTimeout bounds the answer of another node, which may have to read its disk.
const questionTimeout = 2 * time.Second

// ErrUnreachable says that a node that may know did not answer.
var ErrUnreachable = errors.New("cluster: a node did not answer")

// answer answers what other nodes ask about devices. It is called by a link's reader:
// what reads the store goes elsewhere.
func (c *Cluster) answer(q *wire.LinkQuestion, way peer.AnswerReply) {
	switch q.Kind {
	case wire.QuestionDisconnect:
		s := c.find(q)
		if s != nil {
			c.node.Sockets.Close(netpoll.ConnID(s.Conn), uint16(q.Version), string(q.Body))
		}
		way.Answer(&wire.LinkAnswer{Held: s != nil})
	case wire.QuestionDevices, wire.QuestionConnection:
		kept := *q
		kept.Account, kept.Device = string([]byte(q.Account)), string([]byte(q.Device)) // borrowed
		c.answerLater(way, func() *wire.LinkAnswer { return c.look(&kept) })
	case wire.QuestionInterest:
		way.Answer(&wire.LinkAnswer{}) // what the link has said before was taken before
	case wire.QuestionFates, wire.QuestionCancel:
		kept := *q
		kept.Body = append([]byte(nil), q.Body...) // borrowed
		c.answerLater(way, func() *wire.LinkAnswer { return c.answerFates(&kept) })
	case wire.QuestionMissed:
		kept := session.Address{Account: string([]byte(q.Account)), Device: string([]byte(q.Device))} // borrowed
		c.mail.TellMissed(kept, func(missed int) { way.Answer(&wire.LinkAnswer{Version: uint64(missed)}) })
	case wire.QuestionTrace:
		id, ok := session.ParseMessageID(string(q.Body))
		c.answerLater(way, func() *wire.LinkAnswer { return c.answerTrace(id, ok) })
	case wire.QuestionKey:
		c.answerKey(q, way)
	case wire.QuestionReplay:
		c.answerReplay(q, way)
	default:
		way.Answer(&wire.LinkAnswer{Error: fmt.Sprintf("this node does not know questions of kind %d", q.Kind)})
	}
}

// answerLater answers what takes time, on a goroutine, unless there are many already.
func (c *Cluster) answerLater(way peer.AnswerReply, look func() *wire.LinkAnswer) {
	select {
	case c.answers <- struct{}{}:
	default:
		way.Answer(&wire.LinkAnswer{Error: "too many questions are being answered"})
		return
	}
	c.running.Go(func() {
		defer func() { <-c.answers }()
		way.Answer(look())
	})
}

// find returns the session that a question names, by number or by address.
func (c *Cluster) find(q *wire.LinkQuestion) *session.Session {
	if q.Session != 0 {
		return c.sessions.ByNumber(q.Session)
	}
	return c.sessions.Lookup(q.Account, q.Device)
}

// namesMax bounds the connected devices that one answer names.
const namesMax = 1000

// look lists what this node knows, as JSON.
func (c *Cluster) look(q *wire.LinkQuestion) *wire.LinkAnswer {
	list, err := c.here(q)
	if err != nil {
		return &wire.LinkAnswer{Error: err.Error()}
	}
	body, err := json.Marshal(list)
	if err != nil {
		return &wire.LinkAnswer{Error: err.Error()}
	}
	return &wire.LinkAnswer{Held: len(list) > 0, Body: body}
}

// here returns what this node knows of the devices that a question is about. It may
// read the disk.
func (c *Cluster) here(q *wire.LinkQuestion) ([]api.Known, error) {
	var live []*session.Session
	switch s := c.find(q); {
	case q.Session != 0 && s == nil:
		return nil, nil
	case s != nil:
		live = append(live, s)
		q.Account, q.Device = s.Account, s.Device
	case q.Device == "":
		live = c.sessions.AppendAccount(nil, q.Account)
	}
	var records []session.Record
	var err error
	most := c.settings.DevicesMax + 1 // whoever lists them sees that there are more
	if q.Device == "" {
		records, err = c.node.Store.Account(q.Account, most)
	} else if rec, ok, failed := c.node.Store.Device(session.Address{Account: q.Account, Device: q.Device}); ok || failed != nil {
		records, err = []session.Record{rec}, failed
	}
	if err != nil {
		return nil, err
	}
	at := make(map[string]int, len(live))
	var list []api.Known
	for _, s := range live {
		at[s.Device] = len(list)
		list = append(list, api.Known{Online: true, Account: s.Account, Device: s.Device, Node: c.self.Node, Session: c.self.Text(s.Number), OpenedMS: s.OpenedMS})
	}
	for _, rec := range records {
		if i, ok := at[rec.Device]; ok {
			list[i].Record = rec
		} else if len(list) < most {
			list = append(list, api.Known{Account: q.Account, Device: rec.Device, Node: c.self.Node, Record: rec})
		}
	}
	return list, nil
}

// Ask asks nodes at the same time and returns what they know. An error that is
// ErrUnreachable says that the list may lack something.
func (c *Cluster) Ask(nodes []string, q wire.LinkQuestion) ([]api.Known, error) {
	var mu sync.Mutex
	var all []api.Known
	var failed error
	var wait sync.WaitGroup
	for _, node := range nodes {
		wait.Add(1)
		own := q
		c.pool.Ask(node, &own, questionTimeout, func(a *wire.LinkAnswer, err error) {
			defer wait.Done()
			var list []api.Known
			if err == nil && a.Error != "" {
				err = errors.New(a.Error)
			}
			if err == nil && len(a.Body) > 0 {
				err = json.Unmarshal(a.Body, &list)
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, list...)
			if err != nil {
				failed = fmt.Errorf("%w: %s: %v", ErrUnreachable, node, err)
			}
		})
	}
	wait.Wait() // each answer comes, or its timeout
	return all, failed
}

// closeSession asks a node to close a session.
func (c *Cluster) closeSession(node string, q wire.LinkQuestion, code uint16, reason string) (held bool, err error) {
	q.Kind, q.Version, q.Body = wire.QuestionDisconnect, uint64(code), []byte(reason)
	done := make(chan struct{})
	c.pool.Ask(node, &q, questionTimeout, func(a *wire.LinkAnswer, failed error) {
		defer close(done)
		switch err = failed; {
		case err != nil:
		case a.Error != "":
			err = errors.New(a.Error)
		default:
			held = a.Held
		}
	})
	<-done
	if err != nil {
		err = fmt.Errorf("%w: %s: %v", ErrUnreachable, node, err)
	}
	return held, err
}

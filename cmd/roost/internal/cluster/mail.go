package cluster

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/mailbox"
	"github.com/roostpush/roost/session/wire"
)

// Homes makes what takes kept messages to the homes of their accounts, which this node's
// own are in box. It is called once, before Attach.
func (c *Cluster) Homes(cfg mailbox.HomesConfig, box *mailbox.Mailbox) *mailbox.Homes {
	c.missedTimeout = cfg.MissedTimeout
	c.mail = mailbox.NewHomes(cfg, box, mailbox.HomesPorts{
		Self: c.self.Node, Members: mailHomes{c}, Links: mailLinks{c}, Ask: c.askKeeper, AskMissed: c.missedAt, Tracer: c.tracer(),
		NowMS: c.nowMS, SteadyMS: c.settings.SteadyMS,
	})
	return c.mail
}

// tracer is the ring, if there is one: an interface that holds a nil pointer would not be nil.
func (c *Cluster) tracer() mailbox.Tracer {
	if c.settings.Tracer == nil {
		return nil
	}
	return c.settings.Tracer
}

// mailHomes knows who keeps what (mailbox.Members).
type mailHomes struct{ c *Cluster }

func (m mailHomes) Home(account string) string { return m.c.homes.of(account) }
func (m mailHomes) Knows(node string) bool     { return m.c.homes.knows(node) }

// mailLinks takes mail to other nodes (mailbox.Links).
type mailLinks struct{ c *Cluster }

func (l mailLinks) Speaks(node string) bool { return l.c.pool.Speaks(node, wire.LinkTypeMail) }

func (l mailLinks) Send(node string, t wire.LinkType, body []byte) bool {
	return l.c.pool.Control(node, t, body)
}

func (c *Cluster) askKeeper(kind wire.QuestionKind, id session.ID) (list []mailbox.Fate, found bool, err error) {
	if !c.homes.knows(id.Node) {
		return nil, false, nil
	}
	done := make(chan struct{})
	c.pool.Ask(id.Node, &wire.LinkQuestion{Kind: kind, Body: []byte(id.Text())}, questionTimeout, func(a *wire.LinkAnswer, failed error) {
		defer close(done)
		if err = failed; err == nil && a.Error != "" {
			err = errors.New(a.Error)
		}
		if found = err == nil && a.Held; found {
			err = json.Unmarshal(a.Body, &list)
		}
	})
	<-done
	if err != nil {
		return nil, false, fmt.Errorf("%w: %s keeps the message: %v", ErrUnreachable, id.Node, err)
	}
	return list, found, nil
}

// answerFates answers askKeeper of another node. It waits for the disk.
func (c *Cluster) answerFates(q *wire.LinkQuestion) *wire.LinkAnswer {
	id, ok := session.ParseMessageID(string(q.Body))
	if !ok {
		return &wire.LinkAnswer{Error: "that is no message's id"}
	}
	ask := c.mail.Fates
	if q.Kind == wire.QuestionCancel {
		ask = c.mail.Cancel
	}
	list, found, err := ask(id)
	if err != nil {
		return &wire.LinkAnswer{Error: err.Error()}
	}
	body, err := json.Marshal(list)
	if err != nil {
		return &wire.LinkAnswer{Error: err.Error()}
	}
	return &wire.LinkAnswer{Held: found, Body: body}
}

// missedAt asks a node how many messages wait there for a device.
func (c *Cluster) missedAt(node string, a session.Address, answer func(missed int, err error)) {
	q := wire.LinkQuestion{Kind: wire.QuestionMissed, Account: a.Account, Device: a.Device}
	c.pool.Ask(node, &q, c.missedTimeout, func(found *wire.LinkAnswer, err error) {
		switch {
		case err != nil:
			answer(0, err)
		case found.Error != "":
			answer(0, errors.New(found.Error))
		default:
			answer(int(min(found.Version, 1<<30)), nil)
		}
	})
}

package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/mailbox"
	"github.com/roostpush/roost/session/wire"
)

// Homes makes what takes kept messages to the homes of their accounts, which this node's
// own are in box. It is called once, before Attach.
func (c *Cluster) Homes(cfg mailbox.HomesConfig, box *mailbox.Mailbox) *mailbox.Homes {
	c.missedTimeout, c.leaveTimeout, c.keyTimeout = cfg.MissedTimeout, cfg.LeaveTimeout, cfg.KeyTimeout
	c.mail = mailbox.NewHomes(cfg, box, mailbox.HomesPorts{
		Self: c.self.Node, Members: mailHomes{c}, Links: mailLinks{c}, Ask: c.askKeeper, AskMissed: c.missedAt, Tracer: c.tracer(),
		AskKey: c.askKey,
		NowMS:  c.nowMS, SteadyMS: c.settings.SteadyMS,
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

func (m mailHomes) Home(account string) string   { return m.c.homes.of(account) }
func (m mailHomes) HomeOf(account uint64) string { return m.c.homes.members.Load().Home(account) }
func (m mailHomes) Sum() uint64                  { return m.c.homes.members.Load().Sum() }
func (m mailHomes) Knows(node string) bool       { return m.c.homes.knows(node) }

// mailLinks takes mail to other nodes (mailbox.Links).
type mailLinks struct{ c *Cluster }

func (l mailLinks) Speaks(node string, t wire.LinkType) bool { return l.c.pool.Speaks(node, t) }

func (l mailLinks) Send(node string, t wire.LinkType, body []byte) bool {
	return l.c.pool.Control(node, t, body)
}

// askKeeper asks the node that an id names what has become of the message, or to withdraw it,
// and everybody if that does not have it any more: then it may have been handed over. It waits
// for them.
func (c *Cluster) askKeeper(kind wire.QuestionKind, id session.ID) (list []mailbox.Fate, found bool, err error) {
	if id.Node != c.self.Node && c.homes.knows(id.Node) {
		list, found, err = c.askFates([]string{id.Node}, kind, id)
		if found && c.isMember(id.Origin) {
			return list, true, nil // the process that promised it still runs
		}
	}
	var others []string
	for _, node := range c.appendMembers(nil) {
		if node != id.Node {
			others = append(others, node)
		}
	}
	handed, there, failed := c.askFates(others, kind, id)
	switch {
	case there:
		return mailbox.MergeFates(list, handed), true, nil
	case found || err != nil:
		return list, found, err
	}
	return nil, false, failed
}

// askFates asks nodes at the same time.
func (c *Cluster) askFates(nodes []string, kind wire.QuestionKind, id session.ID) (list []mailbox.Fate, found bool, err error) {
	var mu sync.Mutex
	var wait sync.WaitGroup
	for _, node := range nodes {
		wait.Add(1)
		c.pool.Ask(node, &wire.LinkQuestion{Kind: kind, Body: []byte(id.Text())}, questionTimeout, func(a *wire.LinkAnswer, failed error) {
			defer wait.Done()
			var fates []mailbox.Fate
			if failed == nil && a.Error != "" {
				failed = errors.New(a.Error)
			}
			if failed == nil && a.Held {
				failed = json.Unmarshal(a.Body, &fates)
			}
			mu.Lock()
			defer mu.Unlock()
			switch {
			case failed != nil:
				err = fmt.Errorf("%w: %s may keep the message: %v", ErrUnreachable, node, failed)
			case a.Held:
				list, found = mailbox.MergeFates(list, fates), true
			}
		})
	}
	wait.Wait() // each answer comes, or its timeout
	return list, found, err
}

// answerFates answers askKeeper of another node. It waits for the disk.
func (c *Cluster) answerFates(q *wire.LinkQuestion) *wire.LinkAnswer {
	id, ok := session.ParseMessageID(string(q.Body))
	if !ok {
		return &wire.LinkAnswer{Error: "that is no message's id"}
	}
	ask := c.mail.FatesHere
	if q.Kind == wire.QuestionCancel {
		ask = c.mail.CancelHere
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

// moveLookEvery is the time between two looks whether everything is handed over.
const moveLookEvery = 10 * time.Millisecond

// HandOver waits until everything that this node keeps for others is with the homes of now, which
// Drain began, or for cluster.mail.leave_timeout, and says what is left.
func (c *Cluster) HandOver() {
	if !c.isStarted() {
		return
	}
	var both sync.WaitGroup
	both.Go(c.handOverMail)
	both.Go(c.handOverTopics)
	both.Wait()
}

// handOverMail is HandOver of messages for devices. What is left of them stays on this node's
// disk, and goes out when it is started again.
func (c *Cluster) handOverMail() {
	messages, acks, keys := c.mail.Left()
	for end := time.Now().Add(c.leaveTimeout); messages+acks+keys > 0 && len(c.appendMembers(nil)) > 0 && time.Now().Before(end); {
		time.Sleep(moveLookEvery)
		messages, acks, keys = c.mail.Left()
	}
	s := c.mail.Stats()
	if messages+acks+keys > 0 {
		c.log.Warn("messages stay on this node's disk: there was no home for them, or no time", "messages", messages, "acks_not_passed_on", acks, "idempotency_keys", keys,
			"handed_over", s.Moved, "refused_by_homes", s.MovesRefused, "keys_handed_over", s.KeysFiled, "leave_timeout", c.leaveTimeout)
	} else if s.Moved+s.KeysFiled > 0 {
		c.log.Info("all messages are handed over: nobody needs this node's disk any more", "handed_over", s.Moved, "keys_handed_over", s.KeysFiled)
	}
}

package sim

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/deliver"
	"github.com/roostpush/roost/session/mailbox"
	"github.com/roostpush/roost/session/wire"
)

// What puts a node's mailbox and its ways to those of others together, as cmd/roost and
// cmd/roost/internal/cluster do.

// keeping is a node's part of decision 7: the production mailbox and homes, and the ports
// of both.
type keeping struct {
	n     *process
	disk  *disk
	box   *mailbox.Mailbox
	homes *mailbox.Homes

	told    map[session.Address]uint64 // what Online said last, unless nothing
	waiting []waitingAck               // acks that no link took
	offered int                        // acks offered to links
	knew    map[string]bool            // nodes that were members ever
	works   bool                       // what waits for a worker is about to be done
}

// waitingAck is an ack that waits for the link to a node.
type waitingAck struct {
	node string
	ack  wire.MailAck
}

// keep starts what keeps messages. The disk may have some of earlier processes.
func (n *process) keep(d *disk) {
	k := &keeping{n: n, disk: d, told: map[session.Address]uint64{}, knew: map[string]bool{}}
	n.keeping = k
	cfg := mailbox.Default()
	cfg.IdempotencyAgeMS = keyAgeMS
	cfg.WindowMessages, cfg.RetryMinMS, cfg.RetryMaxMS = windowMessages, 100, 1000
	k.box = mailbox.New(cfg, mailbox.Ports{
		Store: shelf{d, n}, Router: k, Presence: k, Directory: k, Canceller: n.router,
		NewID: n.router.NewID, Hash: n.w.hash, Now: n.nowMS, SteadyMS: n.steadyMS, Seed: n.w.random.Uint64(), Keys: shelf{d, n},
	})
	k.homes = mailbox.NewHomes(mailbox.HomesConfig{InFlightMax: 64, InFlightBytes: 1 << 20, AnswerTimeout: 250 * time.Millisecond, AcksMax: 64, MoveMax: 16, MoveBytes: 1 << 20, StraysMax: 256}, k.box,
		mailbox.HomesPorts{
			Self: n.name, Members: k, Links: k, AskKey: k.askKey, NowMS: n.nowMS, SteadyMS: n.steadyMS,
			Ask: func(wire.QuestionKind, session.ID) ([]mailbox.Fate, bool, error) {
				return nil, false, errors.New("nobody asks here")
			},
		})
	n.w.after(n.w.between(0, 100*ms), k.tick)
	k.work()
}

func (k *keeping) tick() {
	if k.n.up {
		k.box.Tick(k.n.steadyMS(), k.n.nowMS())
		k.homes.Tick(k.n.steadyMS())
		k.touched()
		k.n.w.after(200*ms, k.tick)
	}
}

// work does what the goroutines of mailbox.Run do, soon.
func (k *keeping) work() {
	if k.works {
		return
	}
	k.works = true
	k.n.w.after(k.n.w.between(0, ms), func() {
		k.works = false
		if k.n.up && k.box.Work() {
			k.touched()
		}
	})
}

// Attempt tries to deliver (mailbox.Router).
func (k *keeping) Attempt(m *session.Kept, mark uint64, heard func(session.Outcome)) {
	k.n.router.Attempt(m, mark, k.n.w.attempted(k, m, heard))
	k.touched()
}

// Online says which session a device has, on whatever node (mailbox.Presence).
func (k *keeping) Online(a session.Address) (mark uint64, ok bool) {
	if s := k.n.sessions.Lookup(a.Account, a.Device); s != nil {
		mark, ok = session.MarkHere(s.Version), true
	} else {
		p := k.n.Locate(a.Account, a.Device)
		mark, ok = session.MarkThere(p.Version, p.Author), p.State == deliver.There
	}
	if ok {
		k.told[a] = mark
	}
	k.n.w.trace(k.n.w.named[a], "%s is told version %d, %v", k.n.name, session.MarkVersion(mark), ok)
	return mark, ok
}

// Devices lists an account's (mailbox.Directory).
func (k *keeping) Devices(account string, dst []string) ([]string, error) {
	for _, d := range k.n.w.devices {
		if d.name.Account == account {
			dst = append(dst, d.name.Device)
		}
	}
	return dst, nil
}

// Home names the node that keeps an account's messages (mailbox.Members).
func (k *keeping) Home(account string) string {
	_, hash := k.n.w.hash(account, "")
	return k.n.homes.Home(hash)
}

// HomeOf is Home of an account's hash (mailbox.Members).
func (k *keeping) HomeOf(account uint64) string { return k.n.homes.Home(account) }

// Sum identifies the members that may be homes (mailbox.Members).
func (k *keeping) Sum() uint64 { return k.n.homes.Sum() }

// Knows reports whether a node is a member, or was one (mailbox.Members).
func (k *keeping) Knows(node string) bool { return node == k.n.name || k.knew[node] }

// Speaks reports whether there is a link to a node (mailbox.Links).
func (k *keeping) Speaks(node string, _ wire.LinkType) bool {
	return k.n.w.pair(k.n.id, nodeNumber(node)).up
}

// Send takes a frame about mail to a node (mailbox.Links).
func (k *keeping) Send(node string, t wire.LinkType, body []byte) bool {
	w, to := k.n.w, k.n.w.nodes[nodeNumber(node)]
	ok := w.pair(k.n.id, to.id).up && !w.chance(w.weather.full)
	if t == wire.LinkTypeMailAck {
		k.offered++
		k.acks(node, body, ok)
	}
	if !ok {
		return false
	}
	body = slices.Clone(body)
	w.carry(k.n, to, func() {
		to.keeping.receive(k.n, t, body)
		spoil(body)
		to.keeping.touched()
	})
	return true
}

// acks keeps count of the acks that no link took.
func (k *keeping) acks(node string, body []byte, sent bool) {
	var a wire.MailAck
	if err := wire.ParseMailAck(slices.Clone(body), &a); err != nil || node == k.n.name {
		k.n.w.fail("%s sends %s an ack of %s: %v", k.n.name, node, a.ID.Text(), err)
		return
	}
	k.waiting = slices.DeleteFunc(k.waiting, func(b waitingAck) bool { return b == waitingAck{node, a} })
	if sent {
		return
	}
	k.n.w.mail.held++
	k.waiting = append(k.waiting, waitingAck{strings.Clone(node), a})
}

// receive reads what came over a link.
func (k *keeping) receive(from *process, t wire.LinkType, body []byte) {
	var err error
	switch t {
	case wire.LinkTypeMail:
		var m wire.Mail
		if err = wire.ParseMail(body, &m); err == nil {
			k.homes.Take(from.name, &m)
		}
	case wire.LinkTypeMailed:
		var m wire.Mailed
		if err = wire.ParseMailed(body, &m); err == nil {
			k.homes.Mailed(&m)
		}
	case wire.LinkTypeMailFate:
		var m wire.MailFate
		if err = wire.ParseMailFate(body, &m); err == nil {
			k.homes.Fate(&m)
		}
	case wire.LinkTypeMailAck:
		var m wire.MailAck
		if err = wire.ParseMailAck(body, &m); err == nil {
			k.homes.AckedElsewhere(&m)
		}
	case wire.LinkTypeMailMove:
		var m wire.MailMove
		if err = wire.ParseMailMove(body, &m); err == nil {
			k.homes.TakeMove(from.name, &m)
		}
	case wire.LinkTypeMailMoved:
		var m wire.MailMoved
		if err = wire.ParseMailMoved(body, &m); err == nil {
			k.homes.Moved(&m)
		}
	case wire.LinkTypeMailUnwatch:
		var m wire.MailUnwatch
		if err = wire.ParseMailUnwatch(body, &m); err == nil {
			k.homes.Unwatched(from.name, &m)
		}
	case wire.LinkTypeMailKeys:
		var m wire.MailKeys
		if err = wire.ParseMailKeys(body, &m); err == nil {
			k.homes.TakeKeys(from.name, &m)
		}
	case wire.LinkTypeMailFiled:
		var m wire.MailFiled
		if err = wire.ParseMailFiled(body, &m); err == nil {
			k.homes.Filed(&m)
		}
	case wire.LinkTypeMailSettled:
		var m wire.MailSettled
		if err = wire.ParseMailSettled(body, &m); err == nil {
			k.homes.Settled(from.name, &m)
		}
	default:
		err = errors.New("that is no mail")
	}
	if err != nil {
		k.n.w.fail("%s cannot read a frame %v of %s: %v", k.n.name, t, from.name, err)
	}
}

// linked sends what waited for the link, all of it.
func (k *keeping) linked(peer string) {
	due := 0
	for _, a := range k.waiting {
		if a.node == peer {
			due++
		}
	}
	before := k.offered
	k.homes.Linked(peer)
	if k.offered-before < due {
		k.n.w.fail("%s held %d acks for %s, and offers %d now that there is a link", k.n.name, due, peer, k.offered-before)
	}
	k.touched()
}

// touched follows everything that the mailbox is told.
func (k *keeping) touched() {
	k.work()
	k.n.wake()
}

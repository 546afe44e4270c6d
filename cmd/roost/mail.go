package main

import (
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/api"
	"github.com/roostpush/roost/session/mailbox"
	"github.com/roostpush/roost/session/protocol"
	"github.com/roostpush/roost/session/relay"
	"github.com/roostpush/roost/store"
)

// newMailbox makes what waits for devices, of the parts that exist before it.
func (n *node) newMailbox() {
	ports := mailbox.Ports{
		Store:     n.mailStore(),
		Router:    n.router,
		Presence:  n.onlines(),
		Directory: deviceNames{n.addressees(), n.cfg.Mailbox.AccountDevicesMax},
		Canceller: n.router,
		Turns:     n.processor,
		NewID:     n.router.NewID,
		Now:       func() int64 { return n.wallUS() / 1000 },
		SteadyMS:  n.steadyMS,
		Seed:      uint64(n.now().UnixNano()),
	}
	if ports.Keys = n.store; n.redis != nil {
		ports.Keys = n.redis
	}
	if n.trace != nil {
		ports.Tracer = n.trace
	}
	if n.cluster != nil {
		ports.Hash = n.cluster.Hash
	}
	n.mailbox = mailbox.New(n.cfg.Mailbox, ports)
	if n.cluster != nil {
		n.homes = n.cluster.Homes(mailbox.HomesConfig(n.cfg.Cluster.Mail), n.mailbox)
	}
}

// keeper keeps messages until their devices have them: this node's mailbox, or that of
// the account's home.
type keeper interface {
	api.Keeper
	protocol.Mail
	Closed(a session.Address)
	// AckedThrough is Acked of the message that an event stream's client has received last.
	AckedThrough(a session.Address, id session.ID) bool
}

func (n *node) keeper() keeper {
	if n.homes != nil {
		return n.homes
	}
	return n.mailbox
}

// elsewhere asks what waits for a device where memory does not say: other nodes, and, soon
// after a start, the disk.
func (n *node) elsewhere() protocol.Elsewhere {
	if n.homes != nil {
		return n.homes
	}
	return disk{n.mailbox}
}

// disk is what a node that is alone asks.
type disk struct{ mailbox *mailbox.Mailbox }

// AskMissed answers once the mailbox itself knows, which the greeting asks besides.
func (d disk) AskMissed(a session.Address, answer func(missed int)) bool {
	return !d.mailbox.Indexed() && d.mailbox.Learn(a, func() { answer(0) })
}

// streams has a Last-Event-ID acknowledge what an event stream has got.
type streams struct{ keeper keeper }

// From acknowledges what went to the stream up to a message (protocol.Resume).
func (r streams) From(s *session.Session, id session.ID) { r.keeper.AckedThrough(s.Address, id) }

func (n *node) onlines() mailbox.Presence {
	if n.cluster != nil {
		return n.cluster
	}
	return connected{n.sessions}
}

// mailStore is the store as the mailbox wants it.
type mailStore struct{ *store.Store }

// Fates returns the account and what is noted for each device.
func (s mailStore) Fates(id session.ID) (account string, list []mailbox.Fate, found bool, err error) {
	noted, found, err := s.Store.Fates(id)
	for _, f := range noted {
		account = f.Account
		list = append(list, mailbox.Fate{Device: f.Device, Outcome: f.Outcome, AtMS: f.AtMS})
	}
	return account, list, found, err
}

// connected knows who is connected to this node.
type connected struct{ sessions *session.Registry }

// Online returns the mark of the device's session.
func (p connected) Online(a session.Address) (mark uint64, ok bool) {
	if s := p.sessions.Lookup(a.Account, a.Device); s != nil {
		return session.MarkHere(s.Version), true
	}
	return 0, false
}

// deviceNames are the devices of accounts, connected and remembered.
type deviceNames struct {
	directory protocol.Directory
	max       int
}

// Devices appends them: one more than the mailbox takes says that there are too many.
func (d deviceNames) Devices(account string, dst []string) ([]string, error) {
	list, err := d.directory.Devices(account, d.max+1)
	for i := range list {
		dst = append(dst, list[i].Device)
	}
	return dst, err
}

// relayed hands the mailbox what devices send to devices.
type relayed struct{ keeper api.Keeper }

// Keep keeps m (relay.Keeper).
func (r relayed) Keep(m *session.Kept, w relay.Watcher) {
	p := mailbox.Push{
		Account: m.Account, Device: m.Device,
		Kind: m.Kind, Payload: m.Payload, From: m.From, SentMS: m.SentMS, ExpiresMS: m.ExpiresMS,
	}
	if m.Device == "" {
		p.Except = m.From
	}
	r.keeper.Post(&p, w)
}

// Unwatch ends the telling.
func (r relayed) Unwatch(id session.ID, w relay.Watcher) { r.keeper.Unwatch(id, w) }

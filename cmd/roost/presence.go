package main

import (
	"github.com/roostpush/roost/cmd/roost/internal/cluster"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/presence"
	"github.com/roostpush/roost/session/protocol"
)

// newPresence makes what tells devices of each other, by the hashes of the table or, where
// there is none, of the registry.
func (n *node) newPresence(sockets presence.Sockets) *presence.Presence {
	var devices presence.Devices = alone{n.sessions}
	if n.cluster != nil {
		devices = cluster.Connected{Cluster: n.cluster}
	}
	return presence.New(n.cfg.Presence, n.sessions.Hash, devices, sockets)
}

// alone says which devices are connected where there are no other nodes
// (presence.Devices).
type alone struct{ sessions *session.Registry }

func (a alone) State(address, account uint64) (presence.State, int64) {
	if s, _ := a.sessions.ByHash(address, account); s != nil {
		return presence.Online, s.OpenedMS
	}
	return presence.Offline, 0
}

func (a alone) Names(account string, named func([]string), done func(complete bool)) {
	var names []string
	for _, s := range a.sessions.AppendAccount(nil, account) {
		names = append(names, s.Device)
	}
	named(names)
	done(true)
}

// watchedJournal tells presence of the sessions that a journal is told of, and what keeps
// messages of those that end.
type watchedJournal struct {
	protocol.Journal
	presence *presence.Presence
	mail     interface{ Closed(a session.Address) }
}

// Opened notes that a session was opened. All arguments are borrowed.
func (j watchedJournal) Opened(s *session.Session, userAgent, remote string, attrs []byte) {
	j.Journal.Opened(s, userAgent, remote, attrs)
	j.presence.Opened(s)
}

// Closed notes that a session ended.
func (j watchedJournal) Closed(s *session.Session, closedMS int64, code uint16) {
	j.Journal.Closed(s, closedMS, code)
	j.presence.Closed(s)
	j.mail.Closed(s.Address)
}

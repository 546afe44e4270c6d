package api

import (
	"cmp"
	"net/http"

	"github.com/roostpush/roost/session"
)

// Cluster is the other nodes. Members and Where answer from memory; the others ask
// nodes and wait for their answers, a few seconds at most. Any goroutine may call any
// method.
type Cluster interface {
	// Members returns the other nodes, as this one sees them.
	Members() []Member
	// Self returns this node's addresses as the others are told them; ok is false as long
	// as it has not joined.
	Self() (m Member, ok bool)
	// Where says what the table has of a device.
	Where(a session.Address) Where
	// Known asks the other nodes that may know it for an account's devices or, with a
	// device, for that one. complete is false when one of them did not answer.
	Known(a session.Address) (list []Known, complete bool)
	// Session asks the node that made a session's id for it.
	Session(o session.Origin, number uint64) (k Known, ok bool, err error)
	// Disconnect closes a session on another node: of a device, or with a number the one
	// that o has made. held is false when there was none.
	Disconnect(a session.Address, o session.Origin, number uint64, code uint16, reason string) (held bool, err error)
}

// Member is another node.
type Member struct {
	Node     string `json:"node"`
	Epoch    uint64 `json:"epoch"`
	Self     bool   `json:"self"`
	State    string `json:"state"`    // active, draining, leaving, or processor: active, and without devices
	Linked   bool   `json:"linked"`   // messages reach it
	Sessions int    `json:"sessions"` // that the table has of it
	Public   string `json:"public,omitempty"`
	Internal string `json:"internal,omitempty"`
	Links    string `json:"links,omitempty"` // where it takes links

	QueuedBytes int `json:"queued_bytes"` // of messages to it
	InFlight    int `json:"in_flight"`    // messages whose outcome it owes
}

// Where is what the table has of a device.
type Where struct {
	State   string `json:"state"`              // here, there, closed (it left a moment ago), nowhere, unsure (the table had no room for some devices), unknown (it lacks the sessions of some node)
	Node    string `json:"node,omitempty"`     // that holds it, or whose log says so
	Epoch   uint64 `json:"epoch,omitempty"`    // of that node
	Linked  bool   `json:"linked"`             // a message from here would reach that node
	Version uint64 `json:"version,omitempty"`  // of the entry: when it opened, Unix milliseconds or a little above
	SinceMS int64  `json:"since_ms,omitempty"` // the same, as a time
	Hash    string `json:"hash"`               // of the address
	Home    string `json:"home,omitempty"`     // the node that keeps the device's record
}

// Known is what another node knows of a device.
type Known struct {
	Online   bool
	Account  string
	Device   string
	Node     string
	Session  string
	OpenedMS int64
	Record   session.Record // no device: there is none
}

// getRoute answers GET .../route: where a message to the device would go from here, and
// what this node's registry says of it.
func (s *Server) getRoute(w http.ResponseWriter, r *http.Request) *Problem {
	a, p := addressOf(r, true)
	if p != nil {
		return p
	}
	answer := struct {
		Account string `json:"account"`
		Device  string `json:"device"`
		Asked   string `json:"asked"` // the node that answers
		Where
		Session string `json:"session,omitempty"`
	}{Account: a.Account, Device: a.Device, Asked: s.node.Origin.Node}
	if s.node.Cluster != nil {
		answer.Where = s.node.Cluster.Where(a)
	}
	if live := s.node.Sessions.Lookup(a.Account, a.Device); live != nil {
		answer.State, answer.Node, answer.Epoch, answer.Linked = "here", s.node.Origin.Node, s.node.Origin.Epoch, true
		answer.Session, answer.SinceMS = s.node.Origin.Text(live.Number), live.OpenedMS
	} else if s.node.Cluster == nil {
		answer.State = "nowhere"
	}
	return writeJSON(w, answer)
}

// elsewhere asks the other nodes for an account's devices.
func (s *Server) elsewhere(a session.Address) (list []Known, complete bool) {
	if s.node.Cluster == nil {
		return nil, true
	}
	return s.node.Cluster.Known(a)
}

// describe is another node's device as services see it.
func (k *Known) describe() device {
	d := away(&k.Record)
	d.Device = k.Device
	if !k.Online {
		return d
	}
	own := k.Record.Session == k.Session
	d.Online, d.Node, d.Session, d.SinceMS, d.ClosedMS, d.CloseCode = true, k.Node, k.Session, k.OpenedMS, 0, 0
	if d.LastSeenMS = k.OpenedMS; own {
		d.LastSeenMS = max(k.Record.SeenMS, k.OpenedMS)
	} else {
		d.Remote, d.UserAgent, d.Attrs = "", "", nil
	}
	return d
}

// fill adds what another description of the same session knows: the node that holds a
// device does not keep what its home does.
func (d *device) fill(from *device) {
	if d.Session == "" || d.Session != from.Session {
		return
	}
	d.LastSeenMS = max(d.LastSeenMS, from.LastSeenMS)
	d.Remote, d.UserAgent = cmp.Or(d.Remote, from.Remote), cmp.Or(d.UserAgent, from.UserAgent)
	if len(d.Attrs) == 0 {
		d.Attrs = from.Attrs
	}
}

// newer says which of two descriptions of a device counts: one that is online, or else
// the one that was seen last.
func (d *device) newer(than *device) bool {
	if d.Online != than.Online {
		return d.Online
	}
	return d.LastSeenMS > than.LastSeenMS
}

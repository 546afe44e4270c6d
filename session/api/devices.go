package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/roostpush/roost/session"
)

// device is one device as services see it.
type device struct {
	Device     string          `json:"device"`
	Online     bool            `json:"online"`
	Node       string          `json:"node,omitempty"`     // that holds or held the session
	Session    string          `json:"session,omitempty"`  // of the newest session
	SinceMS    int64           `json:"since_ms,omitempty"` // when it opened
	LastSeenMS int64           `json:"last_seen_ms,omitempty"`
	ClosedMS   int64           `json:"closed_ms,omitempty"`
	CloseCode  uint16          `json:"close_code,omitempty"`
	Remote     string          `json:"remote,omitempty"`
	UserAgent  string          `json:"user_agent,omitempty"`
	Attrs      json.RawMessage `json:"attrs,omitempty"`
}

// getDevices answers GET /v1/accounts/{account}/devices: online ones from the
// registry, remembered ones from the store.
func (s *Server) getDevices(w http.ResponseWriter, r *http.Request) *Problem {
	a, p := addressOf(r, false)
	if p != nil {
		return p
	}
	limit, p := countParameter(r, "limit", s.cfg.HTTP.DevicesMax, s.cfg.HTTP.DevicesMax)
	if p != nil {
		return p
	}
	// One more than asked for says whether the list was cut.
	records, err := s.node.Records.Account(a.Account, limit+1)
	if err != nil {
		return storeFailed(err)
	}
	others, complete := s.elsewhere(session.Address{Account: a.Account})
	list := s.merge(records, s.node.Sessions.AppendAccount(nil, a.Account), others)
	truncated := len(list) > limit
	if truncated {
		list = list[:limit]
	}
	answer := map[string]any{"account": a.Account, "devices": list, "truncated": truncated}
	if !complete {
		answer["incomplete"] = "a node that may know more did not answer"
	}
	return writeJSON(w, answer)
}

// getDevice answers GET /v1/accounts/{account}/devices/{device}.
func (s *Server) getDevice(w http.ResponseWriter, r *http.Request) *Problem {
	a, p := addressOf(r, true)
	if p != nil {
		return p
	}
	if live := s.node.Sessions.Lookup(a.Account, a.Device); live != nil {
		d := s.online(live, nil)
		if err := s.complete(&d, a); err != nil {
			return storeFailed(err)
		}
		return writeJSON(w, d)
	}
	rec, known, err := s.node.Records.Device(a)
	if err != nil {
		return storeFailed(err)
	}
	if d, found := s.elsewhereOne(a, &rec, known); found {
		return writeJSON(w, d)
	}
	return deviceUnknown(a)
}

// complete adds to what is known of a session what its record says, which this node has
// or another one keeps.
func (s *Server) complete(d *device, a session.Address) error {
	if rec, known, err := s.node.Records.Device(a); err != nil {
		return err
	} else if known {
		kept := away(&rec)
		d.fill(&kept)
	}
	if d.Remote != "" {
		return nil
	}
	list, _ := s.elsewhere(a)
	for i := range list {
		other := list[i].describe()
		d.fill(&other)
	}
	return nil
}

// deleteSession answers DELETE .../session: the device's connection is closed with
// 4007. It may connect again; keeping it out is a matter of its token.
func (s *Server) deleteSession(w http.ResponseWriter, r *http.Request) *Problem {
	a, p := addressOf(r, true)
	if p != nil {
		return p
	}
	live := s.node.Sessions.Lookup(a.Account, a.Device)
	if live == nil {
		return s.disconnectElsewhere(w, a)
	}
	s.operatorClose(live)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// elsewhereOne is the description of a device that is not connected here, if another node
// has a better one than this node's record.
func (s *Server) elsewhereOne(a session.Address, rec *session.Record, known bool) (d device, found bool) {
	if known {
		d, found = away(rec), true
	}
	list, _ := s.elsewhere(a)
	for i := range list {
		other := list[i].describe()
		switch {
		case !found || other.newer(&d):
			other.fill(&d)
			d, found = other, true
		default:
			d.fill(&other)
		}
	}
	return d, found
}

// disconnectElsewhere closes the session of a device that another node holds.
func (s *Server) disconnectElsewhere(w http.ResponseWriter, a session.Address) *Problem {
	if s.node.Cluster == nil {
		return s.absent(a, true)
	}
	held, err := s.node.Cluster.Disconnect(a, session.Origin{}, 0, closeByOperator, closeReason)
	switch {
	case err != nil:
		return unreachable(err)
	case !held:
		return s.absent(a, true)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func unreachable(err error) *Problem {
	return busy(codeNodeUnreachable, "the node that holds the device did not answer: "+err.Error())
}

// merge joins what is remembered with who is connected, online ones first, then by
// name. The registry decides who is online: a record is written behind and may call
// a session open that has just ended.
func (s *Server) merge(records []session.Record, live []*session.Session, others []Known) []device {
	list := make([]device, 0, max(len(records), len(live)))
	at := make(map[string]*session.Session, len(live))
	for _, sess := range live {
		at[sess.Device] = sess
	}
	for i := range records {
		rec := &records[i]
		if sess := at[rec.Device]; sess != nil {
			list = append(list, s.online(sess, rec))
			delete(at, rec.Device)
		} else {
			list = append(list, away(rec))
		}
	}
	for _, sess := range at {
		list = append(list, s.online(sess, nil))
	}
	list = mergeOthers(list, others)
	slices.SortFunc(list, func(a, b device) int {
		if a.Online != b.Online {
			if a.Online {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Device, b.Device)
	})
	return list
}

// mergeOthers adds what other nodes know; of each device the newest description stays.
func mergeOthers(list []device, others []Known) []device {
	if len(others) == 0 {
		return list
	}
	at := make(map[string]int, len(list))
	for i := range list {
		at[list[i].Device] = i
	}
	for i := range others {
		d := others[i].describe()
		if n, there := at[d.Device]; !there {
			at[d.Device] = len(list)
			list = append(list, d)
		} else if d.newer(&list[n]) {
			d.fill(&list[n])
			list[n] = d
		} else {
			list[n].fill(&d)
		}
	}
	return list
}

// online describes a connected device. Its record, written behind, may be missing or
// still of the session before.
func (s *Server) online(sess *session.Session, rec *session.Record) device {
	d := device{
		Device: sess.Device, Online: true,
		Node: s.node.Origin.Node, Session: s.node.Origin.Text(sess.Number),
		SinceMS: sess.OpenedMS, LastSeenMS: sess.OpenedMS,
	}
	if rec != nil && rec.Session == d.Session {
		d.LastSeenMS = max(rec.SeenMS, sess.OpenedMS)
		d.Remote, d.UserAgent, d.Attrs = rec.Remote, rec.UserAgent, rec.Attrs
	}
	return d
}

// away describes a device that is not connected, whatever its record says.
func away(rec *session.Record) device {
	return device{
		Device: rec.Device, Node: rec.Node, Session: rec.Session,
		SinceMS: rec.OpenedMS, LastSeenMS: rec.SeenMS, ClosedMS: rec.ClosedMS, CloseCode: rec.CloseCode,
		Remote: rec.Remote, UserAgent: rec.UserAgent, Attrs: rec.Attrs,
	}
}

// absent says whether a device without a session is known (410) or not (404): by this
// node and, with ask, by others.
func (s *Server) absent(a session.Address, ask bool) *Problem {
	_, known, err := s.node.Records.Device(a)
	if err == nil && !known && ask {
		others, _ := s.elsewhere(a)
		known = len(others) > 0
	}
	switch {
	case err != nil:
		return storeFailed(err)
	case known:
		return problem(http.StatusGone, codeDeviceOffline, fmt.Sprintf("device %s is known and not connected", a))
	}
	return deviceUnknown(a)
}

func deviceUnknown(a session.Address) *Problem {
	return problem(http.StatusNotFound, codeDeviceUnknown, fmt.Sprintf("there is no record of device %s", a))
}

func storeFailed(err error) *Problem {
	return busy(codeStoreFailed, "the store could not be read: "+err.Error())
}

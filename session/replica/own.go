package replica

import (
	"sync"

	"github.com/roostpush/roost/session/wire"
)

// HOT PATH

// own is the node's own set and its log.
type own struct {
	set Author // in the table; does not change

	mu     sync.Mutex
	log    ring
	marked mark   // a change that waits
	pushed uint64 // newest change that was given to the links
	pushMS int64  // when that was
	busy   bool   // somebody is pushing
	stats  ownStats

	// Of whoever is pushing.
	delta wire.Delta
	peers []string
}

type ownStats struct{ opened, closed, pushes, overrun, full, stale uint64 }

// versionTries is how often an opening looks again whether it became the newest. An
// entry of another node can only come in between once for each message received.
const versionTries = 4

// Opened notes that a session is open and returns its version, which the owner keeps
// with the session and gives to Closed. The hashes are route's, of the session's names.
//
// Calls about one address, Opened and Closed, must come in the order in which the
// registry changed. A session that is displaced by a newer one of this node needs no
// Closed; one that comes is recognised as old. It may be called on an event loop: it
// takes one mutex for less than a microsecond, and about every BatchMS it gives a delta
// to every link.
func (r *Replica) Opened(address, account uint64, nowMS int64) (version uint64) {
	o := &r.own
	o.mu.Lock()
	for range versionTries {
		newest, _ := r.Table.Lookup(address)
		if newest.Author == o.set && newest.Version == version && version != 0 {
			break
		}
		version = uint64(max(nowMS, 0)) + 1
		if ruleVersion {
			version = min(max(r.clock.read(nowMS), newest.Version)+1, versionMax)
			r.clock.saw(version, nowMS, int64(r.cfg.DriftMS))
		}
		if r.Table.Put(o.set, address, account, version) != nil {
			o.stats.full++
			break
		}
		if !ruleVersion {
			break
		}
	}
	o.append(wire.Change{Address: address, Account: account, Version: version}, nowMS)
	o.stats.opened++
	o.mu.Unlock()
	r.push(nowMS)
	return version
}

// Closed notes that the session of that version is over. It is cheap as Opened is.
func (r *Replica) Closed(address, account, version uint64, nowMS int64) {
	o := &r.own
	o.mu.Lock()
	if newest, closed, ok := r.Table.Get(o.set, address); ok && (newest > version || newest == version && closed) {
		o.stats.stale++
		o.mu.Unlock()
		return
	}
	r.remove(o.set, address, account, version)
	r.hide(address, account)
	o.append(wire.Change{Address: address, Account: account, Version: version, Closed: true}, nowMS)
	o.stats.closed++
	o.mu.Unlock()
	r.push(nowMS)
}

// remove closes an entry of a set, unless it is newer than that.
func (r *Replica) remove(a Author, address, account, version uint64) bool {
	if ruleTombstone {
		return r.Table.Remove(a, address, account, version)
	}
	return r.Table.Forget(a, address, account, version)
}

// Head returns how far the own log goes.
func (r *Replica) Head() wire.Head {
	r.own.mu.Lock()
	defer r.own.mu.Unlock()
	return wire.Head{Author: r.self, Seq: r.own.log.head}
}

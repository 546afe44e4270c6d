// HOT PATH: Opened and Closed run on event loops, Changed for each change of each log.

package presence

import "github.com/roostpush/roost/session"

// watched returns the account with that hash and its shard, whose mutex is then held;
// nil, and nothing is held: nobody here watches it.
func (p *Presence) watched(hash uint64) (*shard, *account) {
	if p.watchers.Load() == 0 {
		return nil, nil
	}
	sh := p.shard(hash)
	if sh.length.Load() == 0 {
		return nil, nil
	}
	sh.mu.Lock()
	a := sh.accounts[hash]
	if a == nil {
		sh.mu.Unlock()
		return nil, nil
	}
	return sh, a
}

// Opened is told of a session of this node, after it is in the registry; s is borrowed.
func (p *Presence) Opened(s *session.Session) {
	if p.watchers.Load() == 0 {
		return
	}
	address, hash := p.hash(s.Account, s.Device)
	if sh, a := p.watched(hash); a != nil {
		if a.name == s.Account {
			p.add(a, address, s.Device)
			sh.look(a)
		}
		sh.mu.Unlock()
	}
}

// Closed is told of the end of a session of this node, after it has left the registry.
func (p *Presence) Closed(s *session.Session) {
	if p.watchers.Load() == 0 {
		return
	}
	address, hash := p.hash(s.Account, s.Device)
	p.Changed(address, hash, false)
}

// Changed is told what another node's log says of a device, after it is in the table;
// opened: that it has connected there.
func (p *Presence) Changed(address, hash uint64, opened bool) {
	sh, a := p.watched(hash)
	if a == nil {
		return
	}
	if opened && a.find(address) < 0 {
		a.unnamed = true
	}
	sh.look(a)
	sh.mu.Unlock()
}

// Sweep makes every watched account due: much has changed at once. unnamed says that
// there may be devices among it that were not known before, as after a snapshot was
// swapped in; not so when a node was lost.
func (p *Presence) Sweep(unnamed bool) {
	if p.watchers.Load() == 0 {
		return
	}
	p.count.sweeps.Add(1)
	for i := range p.shards {
		sh := &p.shards[i]
		sh.mu.Lock()
		for _, a := range sh.accounts {
			a.unnamed = a.unnamed || unnamed
			sh.look(a)
		}
		sh.mu.Unlock()
	}
}

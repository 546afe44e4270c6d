package deliver

import "github.com/roostpush/roost/session"

// A push to an account lacks a device when a node that should hold some has none, or when a
// device's connection is gone: the device may be on its way to another node, which the
// index of accounts did not name yet. So it is looked for, like a single one, for as long as
// a newer entry takes, on nodes that were not asked and among the sessions that have come
// here meanwhile. What is found first ends that; it is looked for once. A device that
// comes to a node which was asked before stays out, as one does that is connected to none.

// lack notes that a device is lacking. The caller holds mu.
func (d *Delivery) lack() {
	d.lacks = !d.local && !d.looked && !d.to.isBroadcast() && d.to.Device == "" && d.router.cluster != (alone{})
}

// lookFurther takes the delivery, of which all that is known has its outcome, among those
// that look again. The caller holds mu.
func (d *Delivery) lookFurther() {
	d.lacks, d.looked = false, true
	if !d.router.seeking.enter(d) {
		d.router.count.seekingRefused.Add(1)
		return
	}
	d.note(session.StepSought)
	d.looks = true
	d.open++ // it is not settled
}

// endLooking lets it settle.
func (d *Delivery) endLooking() {
	if d.looks {
		d.looks = false
		d.open--
	}
}

// lookForMore sends to whoever has turned up; true: it need not look again. The caller
// holds mu, which is released meanwhile.
func (d *Delivery) lookForMore(last bool) (over bool) {
	found := d.sendMore()
	if d.forwardMore() {
		found = true
	}
	if over = found || last; over {
		d.endLooking()
	}
	return over
}

// sendMore sends to sessions of the account that have come to this node.
func (d *Delivery) sendMore() (found bool) {
	d.sessions = d.router.reg.AppendAccount(d.sessions[:0], d.to.Account)
	for _, s := range d.sessions {
		if s.Device == d.to.Except || d.has(s.Device) || !d.looks { // it may expire meanwhile
			continue
		}
		found = true
		i := len(d.targets)
		d.targets = append(d.targets, target{session: s, moved: true})
		d.open++
		d.total++
		if d.index != nil {
			d.index[s.Address] = i
		}
		if d.awaitAcks(1) {
			d.send(i)
		} else {
			d.settle(i, session.Overloaded)
		}
	}
	clear(d.sessions)
	return found
}

// has says whether a device is among those that were sent to, by whichever node, and were
// there.
func (d *Delivery) has(device string) bool {
	for i := range d.targets {
		if t := &d.targets[i]; t.session.Device == device && t.outcome != session.Offline {
			return true
		}
	}
	for i := range d.remotes {
		for at, o := range d.remotes[i].outcomes {
			if d.remotes[i].device(at) == device && o != session.Offline {
				return true
			}
		}
	}
	return false
}

// forwardMore forwards to nodes that the index of accounts did not name before.
func (d *Delivery) forwardMore() (found bool) {
	if !d.looks {
		return false
	}
	d.nodes = d.router.cluster.AppendNodes(d.nodes[:0], d.to.Account)
	first := len(d.remotes)
	for _, node := range d.nodes {
		if !d.isAsked(node) {
			d.remotes = append(d.remotes, remote{node: node})
		}
	}
	d.forwardFrom(first)
	return len(d.remotes) > first
}

func (d *Delivery) isAsked(node string) bool {
	for i := range d.remotes {
		if d.remotes[i].node == node {
			return true
		}
	}
	return false
}

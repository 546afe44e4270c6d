package deliver

import (
	"slices"

	"github.com/roostpush/roost/session"
)

// indexedMin is the number of addressees from which an ack is looked up rather than
// searched for.
const indexedMin = 16

// address takes down the one addressee; s is nil when it is not connected.
func (d *Delivery) address(s *session.Session) {
	d.targets = append(d.targets, target{session: s})
	d.open, d.total = 1, 1
}

// addressMany takes down everybody who is connected, or has subscribed, and addressed: first those
// who speak roost.v1, then those who get its frames as events, then roost.raw.
func (d *Delivery) addressMany(to *To) {
	var events, raw []*session.Session
	reg := d.router.reg
	add := func() {
		for _, s := range d.sessions {
			switch {
			case !to.isBroadcast() && to.Except != "" && s.Device == to.Except:
			case s.Permissions&session.Raw != 0:
				raw = append(raw, s)
			case s.Permissions&session.SSE != 0:
				events = append(events, s)
			default:
				d.targets = append(d.targets, target{session: s})
			}
		}
		clear(d.sessions) // whoever has left should not be kept by a buffer
	}
	switch {
	case to.Topic != "":
		d.sessions = d.router.topics.Publish(d.sessions[:0], d.origin, &d.message)
		d.targets = slices.Grow(d.targets, len(d.sessions))
		add()
	case to.All:
		if n := reg.Len(); cap(d.targets) < n {
			d.targets = make([]target, 0, n)
		}
		for shard := range reg.Shards() {
			d.sessions = reg.AppendAll(d.sessions[:0], shard)
			add()
		}
	default:
		d.sessions = reg.AppendAccount(d.sessions[:0], to.Account)
		add()
	}
	d.events = len(d.targets)
	for _, s := range events {
		d.targets = append(d.targets, target{session: s})
	}
	d.raw = len(d.targets)
	for _, s := range raw {
		d.targets = append(d.targets, target{session: s})
	}
	d.open, d.total = len(d.targets), len(d.targets)
	if d.wait == session.WaitAcked && len(d.targets) >= indexedMin {
		d.index = make(map[session.Address]int, len(d.targets))
		for i, t := range d.targets {
			d.index[t.session.Address] = i
		}
	}
}

// find returns the number of the addressee of that name.
func (d *Delivery) find(a session.Address) (i int, ok bool) {
	if d.index != nil {
		i, ok = d.index[a]
		return i, ok
	}
	for i, t := range d.targets {
		if t.session != nil && t.session.Address == a {
			return i, true
		}
	}
	return 0, false
}

// settle gives an addressee its outcome, unless it has one.
func (d *Delivery) settle(i int, o session.Outcome) {
	t := &d.targets[i]
	if t.outcome != session.Pending {
		return
	}
	t.outcome = o
	d.open--
	d.noteOutcome(i, o)
	d.counts[o]++
	d.router.count.outcomes[o].Add(1)
}

// refuse gives everybody the outcome of a message of which nothing is sent.
func (d *Delivery) refuse(o session.Outcome) {
	for i := range d.targets {
		d.settle(i, o)
	}
	d.next = len(d.targets)
}

// untracked notes what is known of a message whose sender does not wait: n
// addressees with the outcome o, which has been counted.
func (d *Delivery) untracked(n int, o session.Outcome) {
	d.open, d.total = 0, n
	d.counts[o] = n
	for i := range d.targets {
		d.targets[i].outcome = o
	}
}

package deliver

import (
	"cmp"
	"slices"

	"github.com/roostpush/roost/session"
)

// A device that moves while a push to its account is on its way may be found on two nodes.
// It is one addressee and has one outcome, the better one: that is about the connection
// which got the message, or is more likely to, and the other about one the device has left.
// It may have got the message twice then, with one id. Nodes that only count their devices
// say no names, so among those nobody is found twice.

// outcomeRank orders outcomes by what they say of the message: the device has it, will have
// it, may have it, has it not.
var outcomeRank = [session.OutcomeCount]int{
	session.Acked: 12, session.Written: 11,
	session.Queued:  10,
	session.Timeout: 9, session.Lost: 8,
	session.Overloaded: 7, session.TooLarge: 6, session.Forbidden: 5, session.Expired: 4,
	session.Cancelled: 3, session.Unreachable: 2, session.Misrouted: 1, session.Offline: 0,
}

// listed is a device that a node has named.
type listed struct {
	device  string
	outcome *session.Outcome
}

// merge leaves one outcome for each device of an account. The caller holds mu; every
// addressee has its outcome.
func (d *Delivery) merge() {
	if len(d.remotes) == 0 && !d.looked || d.to.isBroadcast() || d.to.Device != "" || !ruleMerge {
		return
	}
	var room [indexedMin]listed
	all := room[:0]
	for i := range d.targets {
		all = append(all, listed{d.targets[i].session.Device, &d.targets[i].outcome})
	}
	for i := range d.remotes {
		r := &d.remotes[i]
		for at := range r.outcomes {
			if name := r.device(at); name != "" {
				all = append(all, listed{name, &r.outcomes[at]})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b listed) int {
		return cmp.Or(cmp.Compare(a.device, b.device), outcomeRank[*b.outcome]-outcomeRank[*a.outcome])
	})
	dropped := 0
	for i := 1; i < len(all); i++ {
		if x := all[i]; x.device == all[i-1].device {
			d.counts[*x.outcome]--
			d.total--
			*x.outcome = session.Pending
			dropped++
		}
	}
	if dropped > 0 {
		d.dropMerged()
	}
}

// dropMerged forgets the outcomes that merge took back.
func (d *Delivery) dropMerged() {
	d.targets = slices.DeleteFunc(d.targets, func(t target) bool { return t.outcome == session.Pending })
	for i := range d.remotes {
		r := &d.remotes[i]
		kept := 0
		for at, o := range r.outcomes {
			if o != session.Pending {
				r.devices[kept], r.outcomes[kept] = r.devices[at], o
				kept++
			}
		}
		r.devices, r.outcomes = r.devices[:kept], r.outcomes[:kept]
	}
}

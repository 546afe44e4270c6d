package deliver

import (
	"slices"
	"sync"

	"github.com/roostpush/roost/session"
)

// seekMS is how long a push waits for the table to learn where a device is that was
// connected a moment ago (DESIGN.md decision 3, Tombstones).
const seekMS = 150

// seeking are the pushes that wait for that. The table is asked again every few
// milliseconds, as long as there are any, rather than it telling them: an opening would
// have to look for a push that waits, and there hardly ever is one.
type seeking struct {
	max  int
	wake chan struct{} // has one when the list is no longer empty
	mu   sync.Mutex
	list []sought
}

// sought is one use of a delivery to one device.
type sought struct {
	delivery *Delivery
	use      uint32
	untilMS  int64 // 0: since the last look
}

func (s *seeking) init(max int) { s.max, s.wake = max, make(chan struct{}, 1) }

// enter takes in a delivery, whose mu the caller holds; false when there are too many.
func (s *seeking) enter(d *Delivery) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.list) >= s.max {
		return false
	}
	s.list = append(s.list, sought{delivery: d, use: d.use})
	s.ring()
	return true
}

// ring says that there is something to look at.
func (s *seeking) ring() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Sought receives a value when pushes wait for a device to turn up, or pushes of other nodes
// for the acks of many: call LookAgain from then on every 10 ms or so, until it says that
// there are none.
func (r *Router) Sought() <-chan struct{} { return r.seeking.wake }

// LookAgain looks again for the devices of pushes that wait, ends the waiting for acks of
// many whose time is over, and returns how many still wait.
// One goroutine at a time may call it, with the clock of Tick.
func (r *Router) LookAgain(nowMS int64) (left int) {
	acks := r.listing.tick(nowMS)
	s := &r.seeking
	s.mu.Lock()
	for i := range s.list {
		if s.list[i].untilMS == 0 {
			s.list[i].untilMS = nowMS + seekMS
		}
	}
	list := slices.Clone(s.list)
	s.mu.Unlock()
	over := make(map[sought]bool, len(list))
	for _, x := range list {
		if x.delivery.lookAgain(x.use, nowMS >= x.untilMS) {
			over[x] = true
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = slices.DeleteFunc(s.list, func(x sought) bool { return over[x] })
	return len(s.list) + acks
}

// lookAgain looks for the one addressee once more, or for those that an account lacks; true:
// it need not look again. last: whoever is not there is offline, or nobody knows.
func (d *Delivery) lookAgain(use uint32, last bool) (over bool) {
	d.mu.Lock()
	defer func() { d.unlock() }()
	if d.use != use || d.state != running {
		return true
	}
	if d.to.Device == "" {
		return !d.looks || d.lookForMore(last)
	}
	if d.targets[0].outcome != session.Pending {
		return true
	}
	s, version := d.router.reg.LookupVersion(d.to.Account, d.to.Device)
	if s != nil && (d.version != 0 && s.Version > d.version || d.isOther(version, session.MarkHere(version))) { // its keeper sends to that one
		d.settle(0, session.Offline)
		return true
	}
	if s != nil && version >= d.version {
		d.targets[0].session, d.place = s, Place{}
		if d.awaitAcks(1) {
			d.send(0)
		} else {
			d.settle(0, session.Overloaded)
		}
		return true
	}
	p := d.router.cluster.Locate(d.to.Account, d.to.Device)
	switch {
	case d.isNews(p):
		d.forwardOne(p)
		return true
	case !last:
	case p.State == Here: // another device here has its hash
		d.settle(0, session.Misrouted)
	default:
		d.settleAbsent(p)
	}
	return last
}

package sim

import "github.com/roostpush/roost/session"

// device connects, moves, vanishes and comes back. The node it was on may know of it at
// once or keep a half-open connection until it is displaced or notices.
type device struct {
	w       *world
	name    session.Address
	address uint64
	account uint64
	current *connection // what the device itself believes in
	steady  int64       // online since, but for moves of a few milliseconds, a second between two
}

// shortest gap is how long a device that moves cleanly is on no node at most.
const shortestGap = 5 * ms

// act lets the device do something.
func (d *device) act() {
	c := d.current
	if c != nil && c.closed {
		return // it is about to come back
	}
	w := d.w
	if c == nil {
		d.connect(w.anyNode())
		return
	}
	choice := w.random.IntN(10)
	if w.quiet {
		choice = min(choice, 5)
	}
	switch choice {
	case 0, 1, 2: // closes, and opens elsewhere at once
		d.move(w.anyNode(), w.between(0, shortestGap))
	case 3, 4, 5: // the same node again
		d.move(c.at, w.between(0, shortestGap))
	case 6, 7: // the old node does not notice
		if c.at.up {
			w.after(w.between(5*second, 60*second), func() {
				if !w.quiet {
					c.at.disconnect(c)
				}
			})
		}
		d.connect(w.anyNode())
	case 8: // goes
		c.at.disconnect(c)
		d.current = nil
	case 9: // vanishes
		d.current = nil
		w.after(w.between(5*second, 30*second), func() { c.at.disconnect(c) })
	}
}

func (d *device) move(to *process, gap int64) {
	c := d.current
	steady := d.steady
	if d.w.now-c.opened < second {
		steady = d.w.now // its last entry is not everywhere yet
	}
	c.at.disconnect(c)
	d.w.after(gap, func() {
		if d.current == c && to.up {
			d.connect(to)
			d.steady = steady
		}
	})
}

func (d *device) connect(to *process) {
	d.steady = d.w.now
	d.current = to.connect(d)
	d.w.count.openings++
}

// dropped is told that a node ended a connection: if it is the device's, the device comes
// back, wherever.
func (d *device) dropped(c *connection, later int64) {
	if d.current != c {
		return
	}
	d.w.after(later, func() {
		if d.current == c {
			d.connect(d.w.anyNode())
		}
	})
}

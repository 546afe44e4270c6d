package deliver

// Pushes to a topic and to everybody share the loops' outboxes with pushes to devices. One with
// more addressees than Config.InFlightMax is paced (paced.go); but many smaller ones at a time
// would put as many sends in front of the next push to a device. So the sends of all of them
// together have a limit, above which another one is overloaded. Pushes to an account are not
// among them: an account has few devices.

// fanOut takes a push to that many receivers of this node in; false: the sends of others are too many.
// The caller holds mu.
func (d *Delivery) fanOut(receivers int) bool {
	r, sends := d.router, min(receivers, d.router.cfg.InFlightMax)
	if r.fanned.Add(int64(sends)) > int64(r.cfg.FanOutMax) {
		r.fanned.Add(-int64(sends))
		r.count.fanOutRefused.Add(1)
		return false
	}
	d.fanned = sends
	return true
}

// fannedOut gives the place up: nothing is on its way any more, or nobody waits for that.
// The caller holds mu.
func (d *Delivery) fannedOut() {
	if d.fanned > 0 {
		d.router.fanned.Add(-int64(d.fanned))
		d.fanned = 0
	}
}

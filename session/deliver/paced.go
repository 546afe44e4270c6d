package deliver

import (
	"slices"
	"sync"
)

// paced knows the deliveries that have more addressees than may be in flight. They
// go on by their own receipts; the tick is for those whose receivers take their
// time, which must not keep the others waiting.
type paced struct {
	max        int // addressees
	mu         sync.Mutex
	deliveries []*Delivery
	addressees int // of them
}

// enter takes in a delivery; false when those before it have too many addressees. One that
// is alone may have any number.
func (p *paced) enter(d *Delivery) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(d.targets)
	if p.addressees > 0 && p.addressees+n > p.max {
		return false
	}
	p.addressees += n
	d.entered = n
	p.deliveries = append(p.deliveries, d)
	d.isPaced = true
	return true
}

// leave takes out a delivery that is settled.
func (p *paced) leave(d *Delivery) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d.isPaced = false
	for i := range p.deliveries {
		if last := len(p.deliveries) - 1; p.deliveries[i] == d {
			p.deliveries[i] = p.deliveries[last]
			p.deliveries[last] = nil
			p.deliveries = p.deliveries[:last]
			p.addressees -= d.entered
			return
		}
	}
}

func (p *paced) tick() {
	p.mu.Lock()
	deliveries := slices.Clone(p.deliveries)
	p.mu.Unlock()
	for _, d := range deliveries {
		d.tick()
	}
}

// tick looks whether any receipt has come since the last one. If not, what is in
// flight is with receivers that take their time: it no longer counts against the
// budget. The loops' own budgets bound what they hold.
func (d *Delivery) tick() {
	d.mu.Lock()
	if d.state == running && d.isPaced && d.next < len(d.targets) {
		if !d.moving {
			d.inFlight = 0
			d.router.count.stalls.Add(1)
		}
		d.moving = false
		d.pump()
	}
	d.unlock()
}

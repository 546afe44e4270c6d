package sim

import (
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/replica"
)

// push is one message to a device, by the rules of DESIGN.md decisions 3 and 5, until
// package deliver itself runs here: one hop, on misrouted one more look, and a tombstone
// or a misrouted waits for a newer entry for 150 ms.
type push struct {
	w     *world
	at    *process
	to    *device
	began int64
	until int64 // of the wait for a newer entry; 0: it did not begin
	hops  int
}

const newerWait = 150 * ms

// push sends a message from any node.
func (w *world) push(d *device) {
	p := &push{w: w, at: w.anyNode(), to: d, began: w.now}
	w.count.pushes++
	p.look()
}

func (p *push) look() {
	if !p.at.up {
		return // nobody is there to be told an outcome
	}
	if p.at.open[p.to.address] != nil {
		p.end(session.Written)
		return
	}
	e, ok := p.at.table.Lookup(p.to.address)
	p.w.trace(p.to, "push from %s looks: %+v", p.at.name, e)
	switch {
	case ok && !e.Closed:
		p.hop(e)
	case !ok && p.until == 0:
		p.end(session.Offline)
	default:
		p.wait()
	}
}

// wait looks again until the newer entry is there, or it is not to be expected.
func (p *push) wait() {
	if p.until == 0 {
		p.until = p.w.now + newerWait
		p.w.count.waits++
	}
	if p.w.now >= p.until {
		p.end(session.Offline)
		return
	}
	p.w.after(10*ms, p.look)
}

// hop sends the message to the node of an entry. What arrives there is delivered or
// misrouted, and goes no further.
func (p *push) hop(e replica.Entry) {
	origin, ok := p.at.Origin(e.Author)
	if !ok {
		p.wait()
		return
	}
	id := int(origin.Node[1] - '0')
	if id == p.at.id { // its own entry and no session: it is closing
		p.wait()
		return
	}
	p.hops++
	p.w.forward(p.at, id, func(target *process) {
		if target.open[p.to.address] != nil {
			p.end(session.Written)
			return
		}
		p.w.count.misroutes++
		p.w.forward(target, p.at.id, func(*process) {
			p.at.Misrouted(p.to.address, p.to.account, e)
			if p.hops == 2 {
				p.end(session.Misrouted)
				return
			}
			if p.until == 0 {
				p.until = p.w.now + newerWait
			}
			p.look()
		}, func() { p.end(session.Lost) })
	}, func() { p.end(session.Unreachable) })
}

// end judges the outcome. In fair weather a device that was there all the time but for
// its moves is not offline.
func (p *push) end(o session.Outcome) {
	c := p.to.current
	steady := c != nil && !c.closed && c.opened < p.began && p.to.steady < p.began-second
	if o == session.Offline && p.w.fairSince != 0 && p.began > p.w.fairSince && steady {
		p.w.fail("offline from %s for %v, which is on %s", p.at.name, p.to.name, c.at.name)
	}
	if o == session.Written {
		p.w.count.written++
	}
}

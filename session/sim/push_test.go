package sim

import (
	"slices"
	"strconv"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/deliver"
	"github.com/roostpush/roost/session/wire"
)

// push is a message that a service gave to a node, and what is known of it without asking
// the router. It must come to one outcome for each device, a true one.
type push struct {
	number   int
	at       *process
	to       *device // one of the account; not of everybody
	what     deliver.To
	wait     session.Wait
	began    int64
	id       session.MessageID
	delivery *deliver.Delivery // nil: nobody waits
	settled  bool
	asked    []string      // nodes
	written  []*connection // whose sockets took it
	acked    []*device
	seen     map[string]session.Outcome // by device, while it is judged
}

// messageID is a message's whole id.
type messageID struct {
	origin session.Origin
	id     session.MessageID
}

// timeouts are those that callers give, in milliseconds.
var timeouts = []uint32{100, 500, 5000}

// push sends a message from any node: mostly to a device, sometimes to those of its account.
func (w *world) push(d *device) {
	p := &push{number: len(w.pushes), at: w.anyNode(), to: d, began: w.now}
	w.pushes = append(w.pushes, p)
	p.what = deliver.To{Account: d.name.Account, Device: d.name.Device}
	switch n := w.random.IntN(200); {
	case n == 0:
		p.what, p.to = deliver.To{All: true}, nil
	case n < 30:
		p.what.Device = ""
		if n < 10 {
			p.what.Except = d.name.Device
		}
	}
	p.wait = []session.Wait{session.WaitWritten, session.WaitWritten, session.WaitAcked, session.WaitAcked, session.WaitNone}[w.random.IntN(5)]
	if w.fairSince != 0 {
		p.wait = session.Wait(w.random.IntN(2)) // those that say something
		if p.what.All {
			p.wait = session.WaitWritten // the acks of so many leave no room for others'
		}
	}
	p.at.deliver(p)
}

// deliver gives a push to the router, as api does.
func (n *process) deliver(p *push) {
	w := n.w
	if p.wait != session.WaitNone {
		if k := len(n.spare); k > 0 {
			p.delivery, n.spare = n.spare[k-1], n.spare[:k-1]
		} else {
			p.delivery = new(deliver.Delivery)
		}
		p.delivery.Reset(p.wait, func(d *deliver.Delivery) { p.end(d) })
	}
	timeout := timeouts[w.random.IntN(len(timeouts))]
	if w.fairSince != 0 {
		timeout = timeouts[2]
	}
	payload := strconv.AppendInt(nil, int64(p.number), 10)
	account, device, except := []byte(p.what.Account), []byte(p.what.Device), []byte(p.what.Except)
	to := deliver.To{Account: wire.Borrow(account), Device: wire.Borrow(device), Except: wire.Borrow(except), All: p.what.All}
	x := deliver.Push{To: to, Payload: payload, Wait: p.wait, SentMS: n.nowMS(), TimeoutMS: timeout}
	if p.to != nil {
		w.trace(p.to, "push %d from %s to %+v, wait %v", p.number, n.name, p.what, p.wait)
	}
	p.id = n.router.Deliver(&x, p.delivery)
	w.byID[messageID{n.origin, p.id}] = p
	for _, b := range [][]byte{payload, account, device, except} {
		spoil(b)
	}
	n.wake()
	if p.delivery != nil {
		w.after(int64(timeout)*ms, func() {
			if n.up && !p.settled {
				p.delivery.Expire()
				n.wake()
			}
		})
	}
}

// end takes the outcomes of a push and judges them.
func (p *push) end(d *deliver.Delivery) {
	w := p.at.w
	if p.settled {
		w.fail("push %d is settled twice", p.number)
	}
	p.settled = true
	total, counts := d.Total(), d.Counts()
	p.seen = map[string]session.Outcome{}
	listed := 0
	d.Outcomes(func(device, node string, o session.Outcome) {
		listed++
		counts[o]--
		p.judge(device, node, o)
	})
	if p.what.All {
		p.judgeCounts(total, counts)
	} else if listed != total || counts != [session.OutcomeCount]int{} {
		w.fail("push %d lists %d devices of %d; %v are counted and not listed", p.number, listed, total, counts)
	}
	if p.to != nil && w.fairSince != 0 && p.began > w.fairSince {
		p.judgeFair()
	}
	p.at.spare = append(p.at.spare, d)
}

// judge holds that an outcome is true.
func (p *push) judge(name, node string, o session.Outcome) {
	w := p.at.w
	w.outcomes[o]++
	if p.to != nil {
		w.trace(p.to, "push %d from %s: %s on %q is %v", p.number, p.at.name, name, node, o)
	}
	if name == "" { // a node that could not be asked for the account's devices
		if p.what.Device != "" || o < session.Unreachable {
			w.fail("push %d: nobody on %s is %v", p.number, node, o)
		}
		return
	}
	if _, twice := p.seen[name]; twice {
		w.fail("push %d lists %s twice", p.number, name)
	}
	p.seen[name] = o
	switch {
	case o == session.Pending:
		w.fail("push %d is silent about %s", p.number, name)
	case o == session.Written && !slices.ContainsFunc(p.written, func(c *connection) bool {
		return c.device.name.Device == name && c.at.name == node
	}):
		w.fail("push %d says written for %s on %s, and no connection there got it", p.number, name, node)
	case o == session.Acked && !slices.ContainsFunc(p.acked, func(d *device) bool { return d.name.Device == name }):
		w.fail("push %d says acked for %s, which did not", p.number, name)
	}
}

// judgeCounts holds the same of a message to everybody, which lists nobody.
func (p *push) judgeCounts(total int, counts [session.OutcomeCount]int) {
	w := p.at.w
	sum := 0
	for o, n := range counts {
		w.outcomes[o] += n
		sum += n
	}
	if sum != total || counts[session.Pending] != 0 || counts[session.Written] > len(p.written) || counts[session.Acked] > len(p.acked) {
		w.fail("push %d to everybody: %v of %d, %d were written and %d acked", p.number, counts, total, len(p.written), len(p.acked))
	}
}

// judgeFair holds, in fair weather, that a device which was there all the time but for its
// moves is reached; of an account those that did not even move.
func (p *push) judgeFair() {
	w := p.at.w
	if p.what.Device == "" && w.alike[p.what.Account] {
		return
	}
	for _, d := range w.devices {
		c := d.current
		if !p.isFor(d) || c == nil || c.closed || d.steady >= p.began-second || len(d.twins) > 0 {
			continue
		}
		o, listed := p.seen[d.name.Device]
		switch {
		case p.what.Device == "" && c.opened >= p.began-second:
			if !listed {
				w.count.missed++
			}
		case c.opened >= p.began: // what it got it may have got on the connection before
		case o != session.Written && o != session.Acked:
			w.fail("push %d from %s: %v, which is on %s, is %v (listed: %v)", p.number, p.at.name, d.name, c.at.name, o, listed)
		}
	}
}

func (p *push) isFor(d *device) bool {
	return p.what.All || d.name.Account == p.what.Account && d.name.Device != p.what.Except && (p.what.Device == "" || p.what.Device == d.name.Device)
}

// took notes that a socket took a message: the right device's, and, if it was sent to one
// device, once.
func (w *world) took(c *connection, payload []byte, id string) {
	if p := w.promiseOf(payload); p != nil {
		w.tookMail(c, p, id)
		return
	}
	number, err := strconv.Atoi(string(payload))
	if err != nil || number >= len(w.pushes) {
		w.fail("%v on %s gets %q", c.device.name, c.at.name, payload)
		return
	}
	p := w.pushes[number]
	if want := p.at.origin.Text(uint64(p.id)); id != "" && id != want {
		w.fail("push %d is %s, %v gets it as %s", number, want, c.device.name, id)
	}
	if !p.isFor(c.device) {
		w.fail("push %d to %+v is delivered to %v on %s", number, p.what, c.device.name, c.at.name)
	}
	if slices.ContainsFunc(p.written, func(o *connection) bool { return o.device == c.device }) {
		w.count.repeats++
		if p.what.Device != "" {
			w.fail("push %d is delivered to %v twice", number, c.device.name)
		}
	}
	p.written = append(p.written, c)
	w.count.written++
}

// acked notes that a device says it has a message. There may be two of one id: of a node that lost
// its disk, and died before anybody had heard of its epoch, so that it has the same one again.
// The payload says which it is, unless it is empty.
func (w *world) acked(d *device, origin session.Origin, id session.MessageID, payload string) {
	p, letters := w.byID[messageID{origin, id}], w.copies(session.ID{Origin: origin, Number: id}, d.name)
	if number, err := strconv.Atoi(payload); w.promiseOf([]byte(payload)) != nil {
		p = nil
	} else if err == nil {
		p, letters = w.pushes[number], nil
	}
	if p != nil {
		p.acked = append(p.acked, d)
	}
	for _, l := range letters {
		l.acked = true
	}
	if p == nil && len(letters) == 0 {
		w.fail("%v acks a message that nobody sent", d.name)
	}
}

// checkHop holds DESIGN.md decision 5: who forwards a message accepted it, and a message to
// one device goes to one node, and once more after it was misrouted; one to many goes to
// each node once.
func (w *world) checkHop(n *process, node string, f *wire.Forward) {
	if f.Cancel || w.promiseOf(f.Payload) != nil {
		return // attempted has looked at it
	}
	number, err := strconv.Atoi(string(f.Payload))
	if err != nil {
		w.fail("%s forwards %q", n.name, f.Payload)
		return
	}
	p := w.pushes[number]
	if p.at != n {
		w.fail("push %d of %s crosses a second link, from %s", number, p.at.name, n.name)
	}
	if len(p.asked) == 2 && p.what.Device != "" || p.what.Device == "" && slices.Contains(p.asked, node) {
		w.fail("push %d to %+v is forwarded to %v and to %s", number, p.what, p.asked, node)
	}
	p.asked = append(p.asked, node)
}

package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/mailbox"
)

// promise is a push with a time to live that a service gave to a node, and what is known
// of it without asking any mailbox.
type promise struct {
	number   int
	at       *process
	to       *device // one of the account
	account  bool    // it is for all of the account's devices
	first    bool    // the first one's ack is enough
	collapse string
	priority session.Priority
	began    int64
	ttl      int64

	heard   bool
	refused session.Outcome
	id      session.ID   // that was heard
	devices int          // the same
	ids     []session.ID // under which any node keeps it
	final   map[string]session.Outcome
	keyed   // its idempotency key, if it has one
}

// letter is a message of a promise for one device, as its keeper has it.
type letter struct {
	promise  *promise
	device   *device
	kept     session.Kept // without its payload
	by       *process     // that settled it
	run      *process     // that stored it
	disk     *disk
	stored   int64 // when it was synced; 0: not yet
	acked    bool  // its device said so
	void     bool  // its process ended before it was stored
	lost     bool  // with its disk
	outcome  session.Outcome
	durable  bool // the outcome is on disk
	attempts []attempt
	taken    []*connection
}

// letterKey names one: a message that a node hands over as it leaves is a letter of both
// until that node lets go of it.
type letterKey struct {
	id session.ID
	to session.Address
	at *disk
}

// copies are the letters of one message for a device, on whatever disks.
func (w *world) copies(id session.ID, to session.Address) (list []*letter) {
	for _, l := range w.byMail[id] {
		if l.kept.Address == to {
			list = append(list, l)
		}
	}
	return list
}

// devicesOf counts the devices of a message of which some letter is so.
func (w *world) devicesOf(id session.ID, is func(*letter) bool) int {
	devices := map[*device]bool{}
	for _, l := range w.byMail[id] {
		if is(l) {
			devices[l.device] = true
		}
	}
	return len(devices)
}

// attempt is one way of a letter to its device.
type attempt struct {
	run     *process
	mark    uint64 // of the session that its mailbox was told of last
	outcome session.Outcome
}

// mailCounts is what became of promises.
type mailCounts struct {
	promised, kept, refused                      int // pushes
	posted, written, acked, expired, cancelled   int // letters
	redelivered, doubled, unsettled, lost, moved int
	held, crashes, late, ordered, awake          int
	handed, left, stayed, unsureMoves, strays    int // of nodes that leave
	stoodIn, unsure, lateAnswers                 uint64
	keyCounts
}

const (
	windowMessages = 16 // of a mailbox
	ttlLong        = 4 * 3600 * second
)

// promise posts a push for the device, or its account's, at any node.
func (w *world) promise(d *device) {
	if w.alike[d.name.Account] {
		return // where two have one hash some messages wait longer than a seed lasts
	}
	n := w.anyNode()
	p := &promise{number: len(w.promises), at: n, to: d, began: w.now, ttl: ttlLong, priority: session.Priority(w.random.IntN(session.PriorityCount)), final: map[string]session.Outcome{}}
	w.promises = append(w.promises, p)
	w.mail.promised++
	if !w.quiet && w.random.IntN(4) == 0 {
		p.ttl = w.between(second, 15*second)
	}
	switch w.random.IntN(10) {
	case 0:
		p.account, p.first = true, w.random.IntN(2) == 0
	case 1:
		p.collapse = "k"
	}
	x := mailbox.Push{
		Account: d.name.Account, Payload: strconv.AppendInt([]byte("-"), int64(p.number), 10), SentMS: n.nowMS(),
		ExpiresMS: n.nowMS() + p.ttl/ms, Priority: p.priority, Collapse: p.collapse, First: p.first,
	}
	if !p.account {
		x.Device = d.name.Device
	}
	if home := n.keeping.Home(x.Account); w.homes[x.Account] != home {
		if w.homes[x.Account] != "" {
			w.mail.moved++
		}
		w.homes[x.Account] = home
	}
	w.trace(d, "promise %d at %s", p.number, n.name)
	if w.keyDice.IntN(3) == 0 {
		w.key(p, &x)
	}
	n.keeping.homes.Post(&x, promised{p})
	spoil(x.Payload)
	n.keeping.touched()
}

// promised hears what becomes of a promise (mailbox.Watcher).
type promised struct{ *promise }

func (p promised) Kept(id session.ID, devices int, refused session.Outcome, why string) {
	w := p.at.w
	if p.heard {
		w.fail("promise %d is answered twice", p.number)
	}
	p.heard, p.refused, p.devices, p.id = true, refused, devices, id
	p.id.Node = string([]byte(id.Node))
	if refused != session.Pending {
		w.mail.refused++
		if why == "" {
			w.fail("promise %d is %v for no reason", p.number, refused)
		}
		return
	}
	w.mail.kept++
	stored := w.devicesOf(p.id, func(l *letter) bool { return l.stored != 0 || l.lost })
	if stored != devices || stored == 0 {
		w.fail("promise %d is kept as %s for %d devices, and %d are on a disk", p.number, id.Text(), devices, stored)
	}
}

func (p promised) Became(id session.ID, device string, o session.Outcome) {
	w := p.at.w
	before, known := p.final[device]
	switch {
	case !p.heard || p.refused != session.Pending || id != p.id:
		w.fail("promise %d is %v for %s as %s, and was never kept so", p.number, o, device, id.Text())
	case known:
		w.fail("promise %d is %v for %s after %v", p.number, o, device, before)
	case o == session.Acked:
		if !slices.ContainsFunc(w.copies(id, session.Address{Account: p.to.name.Account, Device: device}), func(l *letter) bool { return l.acked }) {
			w.fail("promise %d says acked for %s, which did not", p.number, device)
		}
	}
	if o != session.Queued && o != session.Written {
		p.final[string([]byte(device))] = o
	}
}

// lettersOf returns the letters of one id.
func (w *world) lettersOf(id session.ID) (list []*letter) { return w.byMail[id] }

// posted notes that a process is storing a letter: of a promise, for its device, and under
// no more than two ids, of which the second is that of the node that stands in.
func (w *world) posted(n *process, k *session.Kept) {
	p, d := w.promiseOf(k.Payload), w.named[k.Address]
	if p == nil || d == nil || d.name.Account != p.to.name.Account || !p.account && d != p.to {
		w.fail("%s stores %q for %v", n.name, k.Payload, k.Address)
		return
	}
	if !slices.Contains(p.ids, k.ID) {
		w.checkKey(n, p, k.ID)
		p.ids = append(p.ids, k.ID)
		if len(p.ids) > 1 && !p.has {
			w.mail.doubled++
		}
		if p.has {
			// The repeats of its key may come to any node; checkKey has looked at it.
		} else if len(p.ids) > 2 || len(p.ids) == 2 && p.ids[0].Node != p.at.name && p.ids[1].Node != p.at.name {
			w.fail("promise %d at %s is kept as %v", p.number, p.at.name, p.ids)
		}
	}
	l := &letter{promise: p, device: d, kept: *k, run: n, disk: n.keeping.disk}
	l.kept.Payload = nil
	for _, o := range w.copies(k.ID, k.Address) {
		l.acked = l.acked || o.acked
		if o.disk == l.disk && !o.void && !o.durable {
			w.fail("%s stores %s for %v, which it has", n.name, k.ID.Text(), k.Address)
		}
	}
	w.letters[letterKey{k.ID, k.Address, l.disk}] = l
	w.byMail[k.ID] = append(w.byMail[k.ID], l)
	w.allMail = append(w.allMail, l)
	w.mail.posted++
	w.trace(d, "promise %d is stored as %s", p.number, k.ID.Text())
}

func (w *world) promiseOf(payload []byte) *promise {
	if len(payload) < 2 || payload[0] != '-' {
		return nil
	}
	number, err := strconv.Atoi(string(payload[1:]))
	if err != nil || number >= len(w.promises) {
		return nil
	}
	return w.promises[number]
}

// attempted holds that a letter is sent by its keeper only, in its time, not after it was
// settled, and once for a session unless it did not arrive.
func (w *world) attempted(k *keeping, m *session.Kept, heard func(session.Outcome)) func(session.Outcome) {
	l := w.letters[letterKey{m.ID, m.Address, k.disk}]
	if l == nil || l.promise != w.promiseOf(m.Payload) || l.disk != k.disk || l.stored == 0 {
		w.fail("%s sends %s to %v, which it does not keep", k.n.name, m.ID.Text(), m.Address)
		return heard
	}
	mark := k.told[m.Address]
	w.trace(l.device, "%s sends promise %d as %s to version %d", k.n.name, l.promise.number, m.ID.Text(), session.MarkVersion(mark))
	switch {
	case m.ExpiresMS <= k.n.nowMS():
		w.fail("%s sends %s to %v after its time", k.n.name, m.ID.Text(), m.Address)
	case l.by == k.n || l.durable:
		w.fail("%s sends %s to %v, which is %v", k.n.name, m.ID.Text(), m.Address, l.outcome)
	}
	if i := len(l.attempts) - 1; i >= 0 {
		if a := l.attempts[i]; a.run == k.n && a.mark == mark && (a.outcome == session.Pending || a.outcome == session.Written) {
			w.fail("%s sends %s to version %d of %v twice, it was %v", k.n.name, m.ID.Text(), session.MarkVersion(mark), m.Address, a.outcome)
		}
	}
	at := len(l.attempts)
	l.attempts = append(l.attempts, attempt{run: k.n, mark: mark})
	return func(o session.Outcome) {
		if !k.n.up {
			return
		}
		w.trace(l.device, "promise %d as %s was %v", l.promise.number, l.kept.ID.Text(), o)
		if l.attempts[at].outcome != session.Pending {
			w.fail("%s hears of an attempt of %s twice", k.n.name, l.kept.ID.Text())
		}
		l.attempts[at].outcome = o
		if o == session.Written && len(l.taken) == 0 {
			w.fail("%s hears that %s was written, and no connection took it", k.n.name, l.kept.ID.Text())
		}
		heard(o)
		k.touched()
	}
}

// settled holds that what a mailbox settles a letter with is true.
func (w *world) settled(n *process, a session.Address, id session.ID, o session.Outcome) *letter {
	l := w.letters[letterKey{id, a, n.keeping.disk}]
	if l == nil || l.disk != n.keeping.disk || l.void {
		w.fail("%s settles %s of %v, which it does not keep", n.name, id.Text(), a)
		return nil
	}
	w.trace(l.device, "%s settles promise %d as %s: %v", n.name, l.promise.number, id.Text(), o)
	ok := true
	switch {
	case l.by != nil:
		w.fail("%s settles %s of %v as %v, which was %v", n.name, id.Text(), a, o, l.outcome)
	case o == session.Acked:
		w.mail.acked++
		ok = l.acked
	case o == session.Expired:
		w.mail.expired++
		// What another node has kept before it hands over with the time that is left by its clock.
		set := func(o *letter) bool { return o != l && (o.by == nil || o.by.setAt >= l.promise.began) }
		undisturbed := n == l.run && n.setAt < l.promise.began && l.promise.at.setAt < l.promise.began && !slices.ContainsFunc(w.copies(id, a), set)
		over := w.now >= l.promise.began+l.promise.ttl // also if the keeper's clock was set back since it found so
		ok = (over || n.nowMS() >= l.kept.ExpiresMS) && (!undisturbed || w.now >= l.promise.began+l.promise.ttl-2*ms)
	case o == session.Queued: // it is with another node
		w.mail.handed++
		ok = slices.ContainsFunc(w.copies(id, a), func(o *letter) bool { return o.disk != l.disk && o.stored != 0 })
	case o == session.Cancelled:
		w.mail.cancelled++
		ok = w.replaced(l)
	default:
		ok = false
	}
	if !ok {
		w.fail("%s settles %s of %v as %v, which is not true", n.name, id.Text(), a, o)
	}
	l.by, l.outcome = n, o
	return l
}

// replaced says whether a letter may be cancelled: a newer one has its key, or another
// device's ack is enough.
func (w *world) replaced(l *letter) bool {
	if l.promise.first {
		return slices.ContainsFunc(w.lettersOf(l.kept.ID), func(o *letter) bool { return o.acked })
	}
	return l.promise.collapse != "" && slices.ContainsFunc(w.allMail, func(o *letter) bool {
		return (o.disk == l.disk || len(w.copies(l.kept.ID, l.kept.Address)) > 1) && o.device == l.device && o.promise.collapse == l.promise.collapse && o != l && o.stored != 0
	})
}

// tookMail notes that a connection took a letter: its device's. One that speaks roost.raw
// is not told which, if the promise has two.
func (w *world) tookMail(c *connection, p *promise, id string) {
	w.trace(c.device, "gets promise %d as %s on %s", p.number, id, c.at.name)
	w.mail.written++
	again, known := false, false
	for _, of := range p.ids {
		if id != "" && id != of.Text() {
			continue
		}
		sent := slices.DeleteFunc(w.copies(of, c.device.name), func(l *letter) bool { return len(l.attempts) == 0 })
		for _, l := range sent {
			again, known = again || len(l.taken) > 0, true
			if id != "" && len(sent) == 1 {
				w.checkOrder(c, l)
			}
			l.taken = append(l.taken, c)
		}
	}
	if !known {
		w.fail("%v on %s gets promise %d of %v as %q", c.device.name, c.at.name, p.number, p.to.name, id)
	}
	if again {
		w.mail.redelivered++
	}
}

// checkOrder holds, in fair weather, that a device which does not move gets what one
// process keeps for it with one priority in the order in which that was kept.
func (w *world) checkOrder(c *connection, l *letter) {
	last := c.last[l.kept.Priority]
	plain := func(l *letter) bool {
		return w.fairSince != 0 && l.promise.began > w.fairSince && len(l.attempts) == 1 && l.promise.began > c.opened+second/2
	}
	if !plain(l) {
		return
	}
	c.last[l.kept.Priority] = l
	if last == nil || last.run != l.run {
		return
	}
	w.mail.ordered++
	if compareIDs(last.kept.ID, l.kept.ID) > 0 && last.attempts[0].outcome <= session.Written {
		w.fail("%v on %s gets %s after %s", c.device.name, c.at.name, l.kept.ID.Text(), last.kept.ID.Text())
	}
}

// crashMail ends what a process kept in memory, and what its disk had if that is lost.
func (w *world) crashMail(k *keeping) {
	w.retireMail(k)
	k.disk.crash()
	for _, l := range w.allMail {
		if l.disk == k.disk && !l.void && !l.durable {
			w.mail.crashes++ // of a node that keeps something
			break
		}
	}
}

func (w *world) retireMail(k *keeping) {
	s := k.homes.Stats()
	for _, n := range s.StoodIn {
		w.mail.stoodIn += n
	}
	w.mail.unsure += s.Unsure
	w.mail.lateAnswers += s.LateAnswers
	w.mail.unsureMoves += int(s.MovesUnsure)
	w.mail.strays += s.Strays
	w.mail.retireKeys(s)
	if s.AcksLost > 0 {
		w.fail("%s dropped %d acks", k.n.name, s.AcksLost)
	}
}

// left holds that nobody needs the disk of a node any more which said so.
func (w *world) left(n *process) {
	w.mail.left++
	w.leftKeys(n.keeping.disk)
	for _, l := range w.allMail {
		if l.disk == n.keeping.disk && !l.void && !l.durable {
			w.fail("%s has left for good, and only it keeps %s for %v (promise %d)", n.name, l.kept.ID.Text(), l.kept.Address, l.promise.number)
		}
	}
}

// burn loses a disk.
func (w *world) burn(d *disk) {
	for _, l := range w.allMail {
		if l.disk == d && !l.void && !l.durable && !l.lost {
			l.lost = true
			w.mail.lost++
		}
	}
}

// checkAwake holds, in fair weather, that no letter lies idle for so long whose device is
// there all that time: its session has it, and it is only the ack that is missing.
func (w *world) checkAwake(long int64) {
	for _, l := range w.allMail {
		c := l.device.current
		if c == nil || c.closed || w.now-c.opened < long || l.stored == 0 || w.now-l.stored < long || l.outcome != session.Pending || l.lost ||
			l.kept.ExpiresMS <= l.disk.keeper().nowMS() {
			continue
		}
		w.mail.awake++
		if !slices.Contains(l.taken, c) && l.device.unacked(w, l.disk) <= windowMessages/2 {
			w.fail("%v is on %s for %.1f s, and %s (promise %d) lies idle: %+v", c.device.name, c.at.name, float64(w.now-c.opened)/float64(second), l.kept.ID.Text(), l.promise.number, l.attempts)
		}
	}
}

// keeper is the process that has the disk now.
func (d *disk) keeper() *process {
	for _, n := range d.w.nodes {
		if n.keeping.disk == d {
			return n
		}
	}
	panic("a disk that is lost is nobody's, and so are its letters")
}

// unacked counts the letters of one keeper that the device's connection took and that are
// not settled.
func (d *device) unacked(w *world, of *disk) (count int) {
	for _, l := range w.allMail {
		if l.device == d && l.disk == of && l.outcome == session.Pending && slices.Contains(l.taken, d.current) {
			count++
		}
	}
	return count
}

// collect has every device come, or come anew, so that it gets what it never acked.
func (w *world) collect() {
	w.collecting = true
	for _, d := range w.devices {
		w.after(w.between(0, 2*second), func() {
			switch c := d.current; {
			case c == nil:
				d.connect(w.anyNode())
			case !c.closed:
				d.move(w.anyNode(), shortestGap)
			}
		})
	}
}

// checkPromises holds, once every device was there and acked, that every promise was kept:
// each letter is acked, or expired in its time, or replaced, and that is on disk.
func (w *world) checkPromises() {
	for _, l := range w.allMail {
		if !l.void && !l.lost && !l.durable {
			w.fail("promise %d is lost: %s for %v was stored at %d, is %v, acked %v, attempts %+v", l.promise.number, l.kept.ID.Text(), l.device.name, l.stored, l.outcome, l.acked, l.attempts)
		}
	}
	for _, p := range w.promises {
		switch {
		case !p.heard && p.at.up:
			w.fail("promise %d at %s was never answered", p.number, p.at.name)
		case p.heard && p.refused == session.Pending && w.devicesOf(p.id, func(*letter) bool { return true }) != p.devices:
			w.fail("promise %d was kept for %d devices as %s, which has others", p.number, p.devices, p.id.Text())
		}
	}
	for _, n := range w.nodes {
		box, homes := n.keeping.box.Stats(), n.keeping.homes.Stats()
		if box.Waiting != 0 || box.WaitingBytes != 0 || box.Devices != 0 || box.Pending != 0 || homes.InFlight != 0 || homes.AcksHeld != 0 {
			w.fail("%s still has something to do: %+v %+v", n.name, box, homes)
		}
	}
	if uint64(w.mail.doubled) > w.mailUnsure() {
		w.fail("%d pushes have two ids, and only %d are said to", w.mail.doubled, w.mailUnsure())
	}
}

// mailUnsure is how many pushes are said to be kept twice, perhaps.
func (w *world) mailUnsure() (sum uint64) {
	for _, n := range w.nodes {
		sum += n.keeping.homes.Stats().Unsure
	}
	return sum + w.mail.unsure
}

// summary is the counts in words. Over many seeds none may be zero.
func (c *mailCounts) summary(t *testing.T) string {
	var line strings.Builder
	for _, x := range []struct {
		name string
		n    uint64
	}{
		{"promised", uint64(c.promised)}, {"kept", uint64(c.kept)}, {"refused", uint64(c.refused)}, {"letters", uint64(c.posted)},
		{"written", uint64(c.written)}, {"redelivered", uint64(c.redelivered)}, {"acked", uint64(c.acked)},
		{"expired", uint64(c.expired)}, {"cancelled", uint64(c.cancelled)}, {"acked late", uint64(c.late)},
		{"stood in", c.stoodIn}, {"unsure", c.unsure}, {"kept twice", uint64(c.doubled)}, {"late answers", c.lateAnswers},
		{"acks held for a link", uint64(c.held)}, {"keeper crashes", uint64(c.crashes)}, {"settlements lost in a crash", uint64(c.unsettled)},
		{"letters lost with a disk", uint64(c.lost)}, {"homes moved", uint64(c.moved)}, {"pairs in order", uint64(c.ordered)},
		{"waiting for an ack only", uint64(c.awake)}, {"handed over", uint64(c.handed)}, {"hand-overs unsure", uint64(c.unsureMoves)},
		{"nodes left for good", uint64(c.left)}, {"nodes left with mail", uint64(c.stayed)}, {"acks for new keepers", uint64(c.strays)},
		{"keyed", uint64(c.keyed)}, {"said again", uint64(c.again)}, {"are the first", uint64(c.first)}, {"first after the home changed", uint64(c.elsewhere)}, {"kept again, a home was out of reach", uint64(c.excused)},
		{"keys asked for", c.asked}, {"found", c.found}, {"unsure keys", c.unsureKeys}, {"keys filed", c.filed}, {"keys handed over by leavers", uint64(c.keysLeft)},
	} {
		fmt.Fprintf(&line, "%s %d, ", x.name, x.n)
		if x.n == 0 && *seeds >= 5*weakEvery {
			t.Errorf("no %s: the simulation is too tame to mean anything", x.name)
		}
	}
	return strings.TrimSuffix(line.String(), ", ")
}

func (c *mailCounts) add(o *mailCounts) {
	c.promised += o.promised
	c.kept += o.kept
	c.refused += o.refused
	c.posted += o.posted
	c.written += o.written
	c.acked += o.acked
	c.expired += o.expired
	c.cancelled += o.cancelled
	c.redelivered += o.redelivered
	c.doubled += o.doubled
	c.unsettled += o.unsettled
	c.lost += o.lost
	c.moved += o.moved
	c.held += o.held
	c.crashes += o.crashes
	c.late += o.late
	c.ordered += o.ordered
	c.awake += o.awake
	c.handed += o.handed
	c.left += o.left
	c.stayed += o.stayed
	c.unsureMoves += o.unsureMoves
	c.strays += o.strays
	c.stoodIn += o.stoodIn
	c.unsure += o.unsure
	c.lateAnswers += o.lateAnswers
	c.addKeys(&o.keyCounts)
}

package mailbox

import (
	"cmp"
	"slices"
	"strings"

	"github.com/roostpush/roost/session"
)

// readAhead is how many messages more than wanted a read asks for: those that are settled
// may be there for a moment still.
const readAhead = 8

// Opened says that the device has come online with a session of that version, here or
// elsewhere; or that it may have, as after a swap. It is cheap for a device that nothing
// waits for.
func (m *Mailbox) Opened(a session.Address, version uint64) {
	if m.opened(a, 0, version) > version {
		m.lookAt(a) // the one that seems newer may have ended unheard
	}
}

// opened notes a session of the device, which was believed to have the session was, and
// returns which one it is believed to have now.
func (m *Mailbox) opened(a session.Address, was, version uint64) (believed uint64) {
	s := m.shard(a.Account)
	s.mu.Lock()
	b := s.boxes[a]
	if b == nil && !m.indexed.Load() {
		b = s.boxLocked(a)
	}
	// What is being stored is not there yet: whoever stores it looks again. What the store
	// may hold from before the start is.
	if b == nil || len(b.items) == 0 && b.known {
		s.mu.Unlock()
		return 0
	}
	s.seesLocked(b, was, version)
	believed = b.version
	start := b.pumpLocked()
	s.mu.Unlock()
	if start {
		m.start(b)
	}
	return believed
}

// Closed says that a session of the device on this node has ended. While it was there it may
// have hidden one elsewhere that is newer, and taken what was meant for that: it was cut off
// and nobody had noticed.
func (m *Mailbox) Closed(a session.Address) { m.lookAt(a) }

// ChangedElsewhere is Opened for a device of which only hashes are known, as logs of other
// nodes name them, or has gone there; account 0: the log did not say which. Should two devices have
// one hash (DESIGN.md decision 3), then one of them waits for LookAgain.
func (m *Mailbox) ChangedElsewhere(address, account uint64) {
	if account != 0 {
		m.shardOf(account).changedElsewhere(address)
		return
	}
	for i := range m.shards {
		m.shards[i].changedElsewhere(address)
	}
}

func (s *shard) changedElsewhere(address uint64) {
	s.mu.Lock()
	b := s.named[address]
	if b == nil {
		s.mu.Unlock()
		return // what the pass finds later it looks after itself
	}
	a := b.address
	s.mu.Unlock()
	s.mailbox.lookAt(a)
}

// LookAgain asks of every device that something waits for whether it is online, in the
// background: for when many may have come online at once, and nobody can name them.
func (m *Mailbox) LookAgain() {
	if !m.looking.Swap(true) {
		m.queue.push((*everybody)(m))
	}
}

// everybody is all devices that something waits for.
type everybody Mailbox

func (e *everybody) work(*worker) {
	m := (*Mailbox)(e)
	m.looking.Store(false)
	for i := range m.shards {
		for _, a := range m.shards[i].addresses() {
			m.lookAt(a)
		}
	}
}

// pumpLocked reports whether there is work for the box to be started, which is noted as
// started then. While many messages are on their way it waits until the window is half empty, so
// that a read brings more than one.
func (b *box) pumpLocked() (start bool) {
	m := b.shard.mailbox
	cfg := &m.cfg
	switch {
	case b.working:
		return false
	case !b.known:
		start = b.retryMS == 0 && (b.version != 0 || b.owes())
	case b.unsent > 0 && b.version != 0 && b.retryMS == 0:
		if b.pass(m.steady()); int(b.inFlight) <= cfg.WindowMessages/2 && b.inFlightBytes <= cfg.WindowBytes/2 {
			start = b.nextRun(m.now(), cfg).n > 0
		} else if b.patienceMS != 0 {
			b.shard.dueLocked(b, b.patienceMS)
		}
	}
	b.working = start
	return start
}

// start has a worker drain the box when it is its turn. To learn what is in it nothing is
// sent, which takes no turn; and whose turn it is, is not known before.
func (m *Mailbox) start(b *box) {
	s := b.shard
	s.mu.Lock()
	known, p := b.known, b.nextRun(m.now(), &m.cfg).priority
	s.mu.Unlock()
	if m.turns == nil || !known {
		m.queue.push(b)
		return
	}
	ok := m.turns.Turn(p, b.address.Account, func(done func()) {
		b.done = done
		m.queue.push(b)
	})
	if ok {
		return
	}
	m.count.turnless.Add(1)
	s.mu.Lock()
	b.working = false
	s.pauseLocked(b)
	s.releaseLocked(b)
	s.mu.Unlock()
}

// work learns what waits in the box, or sends one page of it.
func (b *box) work(w *worker) {
	s := b.shard
	m := s.mailbox
	s.mu.Lock()
	was := b.version
	s.mu.Unlock()
	version := m.online(b.address)
	s.mu.Lock()
	s.seesLocked(b, was, version)
	known := b.known
	s.mu.Unlock()

	var err error
	if known {
		err = b.drain(w)
	} else {
		err = b.learn(w)
	}

	s.mu.Lock()
	var asked []*question
	if err != nil {
		m.count.unread.Add(1)
		asked = b.askedLocked() // the next attempt may take long
		s.pauseLocked(b)
	}
	b.working = false
	done := b.done
	b.done = nil
	start := err == nil && b.pumpLocked()
	s.releaseLocked(b)
	s.mu.Unlock()
	if done != nil {
		done()
	}
	if start {
		m.start(b)
	}
	m.count.missedUnread.Add(uint64(len(asked)))
	m.answer(asked)
}

// drain reads what is to be sent next, and sends it.
func (b *box) drain(w *worker) error {
	s := b.shard
	m := s.mailbox
	s.mu.Lock()
	r := b.nextRun(m.now(), &m.cfg)
	if r.n == 0 {
		s.mu.Unlock()
		return nil
	}
	first, version := b.id(&b.items[r.at]), b.version
	s.mu.Unlock()

	// No node's id is empty: this stands right before the first.
	before := session.ID{Origin: session.Origin{Epoch: first.Epoch}, Number: first.Number}
	page, err := m.store.Mail(w.page[:0], b.address, before, r.n+readAhead, m.cfg.WindowBytes)
	m.count.reads.Add(1)
	w.page = page
	if err != nil {
		return err
	}
	found, goOn := false, true
	for i := range page {
		found = found || page[i].ID == first
		goOn = goOn && b.sendNext(&page[i], r.priority, version)
	}
	clear(page)
	if !found {
		s.mu.Lock()
		s.missingLocked(b, first)
		s.mu.Unlock()
	}
	return nil
}

// sendNext sends a message that was read, unless it is settled or has gone already. It
// reports whether the next may follow.
func (b *box) sendNext(k *session.Kept, p session.Priority, version uint64) bool {
	s := b.shard
	m := s.mailbox
	s.mu.Lock()
	i, ok := b.find(k.ID)
	if b.version != version || b.retryMS != 0 || ok && !b.room(&b.items[i], &m.cfg) {
		s.mu.Unlock()
		return false
	}
	if !ok || !b.sendable(&b.items[i], p, m.now()) {
		s.mu.Unlock()
		return true
	}
	a := m.attemptLocked(b, &b.items[i])
	s.mu.Unlock()
	m.router.Attempt(k, version, a.heard)
	return true
}

// missingLocked gives up a message that the store does not have.
func (s *shard) missingLocked(b *box, id session.ID) {
	if i, ok := b.find(id); ok {
		s.mailbox.count.missing.Add(1)
		s.finishLocked(b, i, session.Lost)
	}
}

// addresses are the devices that something waits for, in an order that repeats: a seed is
// all there is to a simulation.
func (s *shard) addresses() []session.Address {
	s.mu.Lock()
	list := make([]session.Address, 0, len(s.boxes))
	for a := range s.boxes {
		list = append(list, a)
	}
	s.mu.Unlock()
	slices.SortFunc(list, func(a, b session.Address) int {
		return cmp.Or(strings.Compare(a.Account, b.Account), strings.Compare(a.Device, b.Device))
	})
	return list
}

package mailbox

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// How a node that leaves for good hands over what it keeps, to the homes that the accounts
// have then. Its own part is here, that of a home in arrive.go.
//
//  1. Leave begins: this node is nobody's home any more. A pass goes through all boxes;
//  2. of each box the messages are read from the store in order and sent to the home, one
//     mail_move each, within MoveMax and MoveBytes; everything goes on meanwhile: devices are
//     sent what waits, acks settle it, and what still comes in is found by the next pass;
//  3. the home syncs a message to its own disk under the same id, and says mail_moved;
//  4. only then it is taken out here. What ended here meanwhile, because it was acknowledged
//     or withdrawn, is told to the home by a mail_ack;
//  5. an answer that does not come leaves the message here, and where it was sent to is
//     remembered: the next pass sends it again, and should it end here before that, the home
//     that may have it hears so once there is a link. If the account has another home by then both
//     may keep it, and the device gets it from both.
//
// Who may let go of what: this node of a message that the home says it has, or had and
// settled; the home of nothing. If this node crashes in between both have the message,
// and the device gets it at most once from each, with one id; its ack goes to the node that
// the id names and to that which sent it (strays.go). If the home crashes it has the message
// on its disk or has not said so.

// The pauses between two passes, milliseconds: one in which no home took anything is
// repeated ever more seldom.
const (
	movePauseMin = 250
	movePauseMax = 4000
)

// departure is the hand-over of a node that leaves. It is a job of the mailbox's goroutines,
// one at a time.
type departure struct {
	homes *Homes

	leaving atomic.Bool
	queued  atomic.Bool // it waits for a goroutine, or is with one

	mu     sync.Mutex
	ref    uint64
	moves  map[letter]*move
	refs   map[uint64]*move
	flying int   // moves whose answer is awaited
	bytes  int   // of their payloads
	pass   bool  // one is under way
	nextMS int64 // when the next one is due, by SteadyMS
	pause  int64 // before it, milliseconds
	taken  bool  // a home has taken something since this one began

	// Of the job.
	shard  int               // the next one of this pass
	left   []session.Address // of the one before it, whose boxes are still to be looked at
	behind session.ID        // in the first of those, what was sent before this
	closed map[string]bool   // homes that take nothing more in this pass
	page   []session.Kept
}

// letter is a message for one device.
type letter struct {
	id session.ID
	to session.Address
}

// move is a letter that was sent to its new home, which may have it.
type move struct {
	letter
	ref        uint64
	node       string
	bytes      int
	flying     bool  // an answer may come
	deadlineMS int64 // until when it is awaited, by SteadyMS
	ended      session.Outcome
}

func (d *departure) init(m *Homes) {
	d.homes, d.moves, d.refs = m, map[letter]*move{}, map[uint64]*move{}
}

// Leave has this node hand over all it keeps. From then on Members must not name it as the
// home of anybody, as long as there are others. Tick goes on with it.
func (m *Homes) Leave() {
	m.departure.leaving.Store(true)
	m.box.keys.unfile() // a home that got some may be gone: the homes of now get all
	m.filing.due(true)
}

// Left is how many messages this node still keeps, or is about to, how many acks it has
// still to pass on, and how many idempotency keys only it knows: 0 after Leave says that nobody needs
// its disk any more.
func (m *Homes) Left() (messages, acks, keys int) {
	m.mu.Lock()
	messages, acks = len(m.flights), m.held
	m.mu.Unlock()
	d := &m.departure
	d.mu.Lock()
	for _, v := range d.moves {
		if v.ended != session.Pending {
			acks++
		}
	}
	d.mu.Unlock()
	return messages + int(m.box.waiting.Load()+m.box.pending.Load()), acks, m.box.keys.left()
}

// tick begins the next pass, or goes on with this one, and stops waiting for answers that
// are late.
func (d *departure) tick(steadyMS int64) {
	if !d.leaving.Load() {
		return
	}
	d.giveUp(func(v *move) bool { return v.deadlineMS <= steadyMS })
	d.mu.Lock()
	due := d.flying <= d.homes.cfg.MoveMax/2 && (d.pass || steadyMS >= d.nextMS)
	d.mu.Unlock()
	if due {
		d.goOn()
	}
}

// goOn has a goroutine of the mailbox send more.
func (d *departure) goOn() {
	if d.homes.box.indexed.Load() && !d.queued.Swap(true) {
		d.homes.box.queue.push(d)
	}
}

// giveUp stops waiting for answers. The letters stay here, and are known to be there, maybe.
func (d *departure) giveUp(which func(*move) bool) {
	d.mu.Lock()
	var over []*move
	for _, v := range d.moves {
		if v.flying && which(v) {
			d.landLocked(v)
			d.homes.count.movesUnsure.Add(1)
			if v.ended != session.Pending {
				over = append(over, v)
				d.forgetLocked(v)
			}
		}
	}
	d.mu.Unlock()
	slices.SortFunc(over, func(a, b *move) int { return cmp.Compare(a.ref, b.ref) })
	for _, v := range over {
		d.homes.tellEnd(v)
	}
}

func (d *departure) landLocked(v *move) {
	v.flying = false
	d.flying--
	d.bytes -= v.bytes
}

func (d *departure) forgetLocked(v *move) {
	delete(d.moves, v.letter)
	delete(d.refs, v.ref)
}

// work goes on with the pass as far as there is room, or begins one.
func (d *departure) work(w *worker) {
	m := d.homes.box
	d.mu.Lock()
	if !d.pass {
		d.pass, d.taken, d.shard, d.left, d.closed = true, false, 0, nil, map[string]bool{}
	}
	d.mu.Unlock()
	for d.room() > 0 {
		switch {
		case len(d.left) > 0:
			if !d.box(d.left[0], w) {
				d.left, d.behind = d.left[1:], session.ID{}
			}
			continue
		case d.shard < len(m.shards):
			d.left = m.shards[d.shard].addresses()
			d.shard++
			continue
		}
		d.end()
		break
	}
	d.queued.Store(false)
}

// end ends the pass.
func (d *departure) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pause = min(2*d.pause, movePauseMax)
	if d.taken || d.pause == 0 {
		d.pause = movePauseMin
	}
	d.pass, d.nextMS = false, d.homes.ports.SteadyMS()+d.pause
}

// room is how many messages may be sent now.
func (d *departure) room() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.bytes >= d.homes.cfg.MoveBytes {
		return 0
	}
	return d.homes.cfg.MoveMax - d.flying
}

// box sends what waits for one device, as much as there is room for; more says that it is to
// be gone on with.
func (d *departure) box(a session.Address, w *worker) (more bool) {
	m, node := d.homes.box, d.homes.ports.Members.Home(a.Account)
	if node == d.homes.ports.Self || d.closed[node] || !d.homes.ports.Links.Speaks(node, wire.LinkTypeMail) {
		return false
	}
	s := m.shard(a.Account)
	s.mu.Lock()
	b := s.boxes[a]
	if b == nil || b.working || len(b.items) == 0 && b.known {
		s.mu.Unlock()
		return false // a goroutine has it, or nothing waits: the next pass looks again
	}
	b.working = true
	known := b.known
	s.mu.Unlock()
	var err error
	if !known {
		err = b.learn(w) // so that acks that came too early are no news to the home
	}
	if err == nil {
		more, err = d.sendPage(b, node)
	}
	s.mu.Lock()
	if err != nil {
		m.count.unread.Add(1)
	}
	b.working = false
	start := b.pumpLocked()
	s.releaseLocked(b)
	s.mu.Unlock()
	if start {
		m.start(b)
	}
	return more && err == nil
}

// sendPage reads and sends one page of a box, which is held as working.
func (d *departure) sendPage(b *box, node string) (more bool, err error) {
	m := d.homes.box
	n := min(d.room(), learnMessages)
	page, err := m.store.Mail(d.page[:0], b.address, d.behind, n, learnBytes)
	m.count.reads.Add(1)
	d.page = page
	defer clear(page)
	if err != nil {
		return false, err
	}
	for i := range page {
		k := &page[i]
		answered, err := m.answered(k)
		if err != nil {
			return false, err
		}
		if answered {
			m.withdraw(k.Address, k.ID)
		} else if !d.send(k, node) {
			d.closed[node] = true
			return false, nil
		}
		d.behind = k.ID
	}
	return len(page) > 0, nil
}

// send sends a message, which is borrowed, unless it is settled or on its way; false: the
// home takes nothing now.
func (d *departure) send(k *session.Kept, node string) bool {
	m := d.homes
	v := d.begin(k, node)
	if v == nil {
		return true
	}
	f := wire.MailMove{Ref: v.ref, LeftMS: max(k.ExpiresMS-m.ports.NowMS(), 0), Kept: *k}
	if m.ports.Links.Send(node, wire.LinkTypeMailMove, wire.AppendMailMove(make([]byte, 0, wire.MailMoveSizeMax(&f)), &f)) {
		m.count.movesSent.Add(1)
		return true
	}
	d.mu.Lock()
	d.landLocked(v)
	d.mu.Unlock()
	return false
}

// begin notes that a message is about to be sent; nil: there is no need.
func (d *departure) begin(k *session.Kept, node string) *move {
	m := d.homes.box
	s := m.shard(k.Account)
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.boxes[k.Address]
	if b == nil {
		return nil
	}
	i, ok := b.find(k.ID)
	if !ok {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	v := d.moves[letter{k.ID, k.Address}]
	switch {
	case v == nil:
		to := letter{session.ID{Origin: session.Origin{Node: strings.Clone(k.Node), Epoch: k.Epoch}, Number: k.Number}, b.address}
		d.ref++
		v = &move{letter: to, ref: d.ref, bytes: len(k.Payload)}
		d.moves[to], d.refs[v.ref] = v, v
	case v.flying:
		return nil
	}
	v.node, v.flying = node, true
	v.deadlineMS = d.homes.ports.SteadyMS() + d.homes.cfg.AnswerTimeout.Milliseconds()
	d.flying++
	d.bytes += v.bytes
	b.items[i].moving = true
	return v
}

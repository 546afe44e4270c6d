package mailbox

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/roostpush/roost/session/wire"
)

// The node's side of step 2 of keyhomes.go: it offers keys to the homes of their accounts.

// The limits of a filing.
const (
	filingFrames = 8    // on their way at one time, some 20 KB each
	filingStep   = 4096 // keys that are looked at with the mutex held
)

// filing offers keys to the homes of their accounts. It is a job of the mailbox's goroutines, one at
// a time, that goes through all keys whenever some may belong elsewhere.
type filing struct {
	homes  *Homes
	queued atomic.Bool // it waits for a goroutine, or is with one

	mu     sync.Mutex
	wanted bool   // a pass is to begin; else, and if none is under way, this node is settled
	begun  bool   // one is under way
	unsure bool   // something of it was not taken
	again  bool   // the next one is to offer what was filed before, too
	whole  bool   // this one does
	among  uint64 // the members that it began with (Members.Sum)
	at     uint32 // the place that it has got to
	ref    uint64
	frames map[uint64]*keyFrame
	nextMS int64 // when the next one may begin, by SteadyMS
	pause  int64 // before it, if something was not taken, milliseconds
}

// keyFrame is keys whose home has not answered yet.
type keyFrame struct {
	node       string
	hashes     [][16]byte
	deadlineMS int64
}

func (f *filing) init(m *Homes) { f.homes, f.frames, f.wanted = m, map[uint64]*keyFrame{}, true }

// HomesMoved says that the members are others than before, so that this node may have keys that belong
// elsewhere.
func (m *Homes) HomesMoved() { m.filing.due(true) }

// due has the next Tick begin a pass; again says that what was filed before is offered once more: the
// home may be another one, or the same node with another disk.
func (f *filing) due(again bool) {
	f.mu.Lock()
	f.wanted, f.again, f.pause, f.nextMS = true, f.again || again, 0, 0
	f.homes.settling.say(wire.MailSettled{})
	f.mu.Unlock()
}

// tick gives up what is not answered, and begins a pass that is due or goes on with one.
func (f *filing) tick(steadyMS int64) {
	f.giveUp(func(x *keyFrame) bool { return x.deadlineMS <= steadyMS })
	f.mu.Lock()
	if f.begun && f.at == 0 && len(f.frames) == 0 { // it is through
		f.begun = false
		if f.among != f.homes.ports.Members.Sum() {
			f.wanted, f.again = true, true
		}
		if f.unsure {
			f.wanted, f.again = true, f.again || f.whole
			f.pause = min(max(2*f.pause, movePauseMin), movePauseMax)
			f.nextMS = steadyMS + f.pause
		} else {
			f.pause = 0
		}
		if !f.wanted {
			f.homes.settling.say(wire.MailSettled{Settled: true, Members: f.among})
		}
	}
	if f.wanted && !f.begun && steadyMS >= f.nextMS {
		f.wanted, f.begun, f.unsure, f.at = false, true, false, 1
		f.whole, f.again, f.among = f.again, false, f.homes.ports.Members.Sum()
	}
	goOn := f.begun && f.at != 0 && len(f.frames) < filingFrames
	f.mu.Unlock()
	if goOn && !f.queued.Swap(true) {
		f.homes.box.queue.push(f)
	}
}

// giveUp stops waiting for answers.
func (f *filing) giveUp(which func(*keyFrame) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for ref, x := range f.frames {
		if which(x) {
			delete(f.frames, ref)
			f.unsure = true
			f.homes.count.keysUnfiled.Add(uint64(len(x.hashes)))
		}
	}
}

// work goes on with the pass as far as there is room.
func (f *filing) work(*worker) {
	defer f.queued.Store(false)
	for {
		f.mu.Lock()
		at, whole, room := f.at, f.whole, len(f.frames) < filingFrames
		f.mu.Unlock()
		if at == 0 || !room {
			return
		}
		next, all, batches := f.homes.box.keys.elsewhere(at, whole, f.homes.ports.Members.HomeOf, f.homes.ports.Self)
		for _, node := range slices.Sorted(maps.Keys(batches)) {
			f.offer(node, batches[node])
		}
		f.mu.Lock()
		f.at, f.unsure = next, f.unsure || !all
		f.mu.Unlock()
	}
}

// offer sends keys to a node.
func (f *filing) offer(node string, keys []wire.MailKey) {
	m := f.homes
	x := &keyFrame{node: node, deadlineMS: m.ports.SteadyMS() + m.cfg.AnswerTimeout.Milliseconds()}
	for i := range keys {
		x.hashes = append(x.hashes, keys[i].Hash)
	}
	f.mu.Lock()
	f.ref++
	ref := f.ref
	f.frames[ref] = x
	f.mu.Unlock()
	body := wire.AppendMailKeys(make([]byte, 0, 8+len(keys)*wire.MailKeyBytesMax), &wire.MailKeys{Ref: ref, Keys: keys})
	if !m.ports.Links.Send(node, wire.LinkTypeMailKeys, body) {
		f.end(ref, false)
	}
}

// end ends a frame, and notes what was taken.
func (f *filing) end(ref uint64, taken bool) {
	f.mu.Lock()
	x := f.frames[ref]
	delete(f.frames, ref)
	f.unsure = f.unsure || x != nil && !taken
	f.mu.Unlock()
	switch {
	case x == nil:
		f.homes.count.lateAnswers.Add(1)
	case taken:
		f.homes.count.keysFiled.Add(uint64(len(x.hashes)))
		f.homes.box.keys.areFiled(x.hashes)
	default:
		f.homes.count.keysUnfiled.Add(uint64(len(x.hashes)))
	}
}

// Filed is the answer of a home, borrowed.
func (m *Homes) Filed(a *wire.MailFiled) { m.filing.end(a.Ref, a.Filed) }

func (ks *keys) areFiled(hashes [][16]byte) {
	ks.mu.Lock()
	defer ks.mu.Unlock()
	for _, h := range hashes {
		ks.fileLocked(&ks.slots[ks.of[h]], true)
	}
}

// elsewhere gathers kept keys from a place on whose home is another node, by node, until one has a
// frame's; whole says that it does not matter whether they are filed. next is where to go on, 0 at
// the end. all says that there are no others: none that are not read yet, or are being stored.
func (ks *keys) elsewhere(at uint32, whole bool, home func(account uint64) string, self string) (next uint32, all bool, batches map[string][]wire.MailKey) {
	now := ks.mailbox.now()
	all, batches = true, map[string][]wire.MailKey{}
	ks.mu.Lock()
	defer ks.mu.Unlock()
	for end := at + filingStep; at < end; at++ {
		if int(at) >= len(ks.slots) {
			return 0, all && ks.ready, batches
		}
		x := &ks.slots[at]
		if x.account == 0 || x.kept && x.goneMS <= now || ks.of[x.hash] != at {
			continue
		}
		node := home(x.account)
		switch {
		case node == self:
			ks.fileLocked(x, false) // this node is who has to know it
			continue
		case !x.kept:
			all = false
			continue
		case x.filed && !whole:
			continue
		}
		if batches[node] = append(batches[node], ks.letterLocked(x, now)); len(batches[node]) == wire.MailKeysMax {
			return at + 1, all, batches
		}
	}
	return at, all, batches
}

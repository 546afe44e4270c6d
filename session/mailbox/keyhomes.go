package mailbox

import (
	"slices"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// How idempotency keys follow the homes of their accounts (keys.go says what for):
//
//  1. a home that does not know a key asks the nodes that may have some which it was not given (keysettled.go),
//     before the push is stored (askOthers); the account's later pushes wait behind it;
//  2. a node that has keys whose home is another one, since the members changed or because it stood in
//     for that one, offers them to it, MailKeysMax in a frame (keyfiling.go); the home syncs them and says so
//     (TakeKeys, Filed). The node goes on to answer by them;
//  3. one that leaves offers all it has, and Left counts what nobody has taken.
//
// The first one closes the gap that the second one needs time for; the second makes that a node
// may go without its keys, and that nobody is asked in the end. A key that two nodes know with two messages
// was pushed while one of them could not reach the other: each goes on to answer with its own.

// claimed says that a push came first with its key here, and is about to be stored. True: other nodes are to
// be asked before. It runs for every such push.
func (m *Homes) claimed(account uint64) (ask bool) {
	if m.ports.AskKey == nil {
		return false
	}
	if m.ports.Members.HomeOf(account) != m.ports.Self {
		m.filing.due(false) // the home is to know it
		return false
	}
	var room [8]string
	if ruleAsk && len(m.settling.unsettled(room[:0])) > 0 {
		return true
	}
	if m.settling.mayLack() {
		m.count.keysUnsure.Add(1)
	}
	return false
}

// askOthers asks other nodes for the key of a post, which has claimed it. True: the post
// is answered, and not to be stored. It blocks.
func (m *Homes) askOthers(q *post) (answered bool) {
	m.count.keysAsked.Add(1)
	found, storing, silent := m.ports.AskKey(m.settling.unsettled(nil), q.message.Key.Hash)
	switch {
	case len(found) > 0:
		m.count.keysFound.Add(1)
		// If there are two, the older one is what most callers were told.
		k := slices.MinFunc(found, func(a, b wire.MailKey) int { return int(a.LeftMS - b.LeftMS) })
		m.box.keys.found(q, &k)
		return true
	case storing:
		m.count.keysStoring.Add(1)
		q.refuse(session.Overloaded, "a push with its idempotency key is being stored by another node, which took itself for the home of its account: say it again")
		return true
	case silent > 0 || m.settling.mayLack():
		m.count.keysUnsure.Add(1)
	}
	return false
}

// KeyHere is what this node knows of an idempotency key: for who asks for another node (AskKey).
// storing says that a push with it is being stored, unread that the keys of before the start are not
// read yet.
func (m *Homes) KeyHere(hash [16]byte) (k wire.MailKey, held, storing, unread bool) {
	return m.box.keys.about(hash)
}

// about returns a key that is kept and whose time is not over.
func (ks *keys) about(hash [16]byte) (k wire.MailKey, held, storing, unread bool) {
	now := ks.mailbox.now()
	ks.mu.Lock()
	defer ks.mu.Unlock()
	if !ks.ready {
		return k, false, false, true
	}
	i := ks.of[hash]
	x := &ks.slots[i]
	switch {
	case i == 0, x.goneMS <= now:
		return k, false, false, false
	case !x.kept:
		return k, false, true, false
	}
	return ks.letterLocked(x, now), true, false, false
}

// letterLocked returns a kept key as it goes to another node.
func (ks *keys) letterLocked(x *heldKey, nowMS int64) (k wire.MailKey) {
	k.Hash, k.Sum, k.Account, k.GoneMS, k.LeftMS = x.hash, x.sum, x.account, x.goneMS, x.goneMS-nowMS
	k.ID, k.Devices = ks.firstLocked(x)
	return k
}

// found answers a post, and those that repeat it, in the name of a message that another node has
// kept before: its key is known here from now on.
func (ks *keys) found(q *post, k *wire.MailKey) {
	k.GoneMS = ks.mailbox.now() + min(k.LeftMS, int64(ks.mailbox.cfg.IdempotencyAgeMS))
	k.Account = q.message.Key.Account
	ks.mu.Lock()
	held := &ks.slots[q.claim]
	held.sum, held.goneMS = k.Sum, k.GoneMS
	ks.keepLocked(q.claim, k.ID, k.Devices)
	list := append([]*post{q}, ks.repeatsLocked(q.claim)...)
	q.claim = 0
	for _, r := range list {
		if r.message.Key.Sum == k.Sum {
			ks.repeated++
		} else {
			ks.reused++
		}
	}
	ks.mu.Unlock()
	if ks.store != nil {
		ks.store.FileKeys([]session.FiledKey{k.FiledKey}, func(error) {}) // the node that told it has it too
	}
	for _, r := range list {
		if r.message.Key.Sum == k.Sum {
			r.repeat(k.ID, k.Devices)
		} else {
			r.refuse(session.Forbidden, reusedKey)
		}
	}
}

// TakeKeys takes the keys of another node, which are borrowed but for their bytes, and answers once
// they are on disk.
func (m *Homes) TakeKeys(from string, f *wire.MailKeys) {
	m.count.keysReceived.Add(uint64(len(f.Keys)))
	list, twice, ready := m.box.keys.take(f.Keys)
	if slices.ContainsFunc(list, func(k session.FiledKey) bool { return m.ports.Members.HomeOf(k.Account) != m.ports.Self }) {
		m.filing.due(false) // the nodes do not see the same members
	}
	m.count.keysTwice.Add(uint64(twice))
	ref := f.Ref
	switch {
	case !ready:
		m.answerKeys(from, ref, "the keys of before the start are not read yet")
	case len(list) == 0 || m.box.keys.store == nil:
		m.answerKeys(from, ref, "")
	default:
		m.box.keys.store.FileKeys(list, func(err error) {
			why := ""
			if err != nil {
				why = err.Error()
			}
			m.answerKeys(from, ref, why)
		})
	}
}

// answerKeys answers; a reason refuses. Should it get lost the keys are offered again.
func (m *Homes) answerKeys(to string, ref uint64, why string) {
	var room [256]byte
	if !m.ports.Links.Send(to, wire.LinkTypeMailFiled, wire.AppendMailFiled(room[:0], &wire.MailFiled{Ref: ref, Filed: why == "", Why: why})) {
		m.count.answersLost.Add(1)
	}
}

// take notes keys of another node, and returns those that are to be put on disk: those that came before
// are, too, since the first time may have failed. A key that is here with another message stays as it is.
func (ks *keys) take(offered []wire.MailKey) (list []session.FiledKey, twice int, ready bool) {
	now := ks.mailbox.now()
	ks.mu.Lock()
	defer ks.mu.Unlock()
	if !ks.ready {
		return nil, 0, false
	}
	ks.expireLocked(now)
	for i := range offered {
		k := offered[i].FiledKey
		k.GoneMS = now + min(offered[i].LeftMS, int64(ks.mailbox.cfg.IdempotencyAgeMS))
		if k.GoneMS <= now {
			continue
		}
		at := ks.of[k.Hash]
		x := &ks.slots[at]
		switch {
		case at == 0, x.kept && x.goneMS <= now:
			ks.keepLocked(ks.addLocked(heldKey{hash: k.Hash, sum: k.Sum, goneMS: k.GoneMS, account: k.Account}), k.ID, k.Devices)
		case !x.kept: // its push asks for it, or is too late to
			twice++
			continue
		default:
			if id, _ := ks.firstLocked(x); id != k.ID {
				twice++
				continue
			}
			ks.fileLocked(x, false) // whoever sent it takes this node for the home
			k.GoneMS = x.goneMS
		}
		list = append(list, k)
	}
	return list, twice, true
}

func (ks *keys) fileLocked(x *heldKey, filed bool) {
	if x.filed == filed || !x.kept || x.account == 0 {
		return
	}
	x.filed = filed
	if filed {
		ks.unfiled--
	} else {
		ks.unfiled++
	}
}

// unfile has all keys be offered again.
func (ks *keys) unfile() {
	ks.mu.Lock()
	defer ks.mu.Unlock()
	for i := range ks.slots {
		ks.fileLocked(&ks.slots[i], false)
	}
}

// left is how many keys only this node has.
func (ks *keys) left() int {
	now := ks.mailbox.now()
	ks.mu.Lock()
	defer ks.mu.Unlock()
	ks.expireLocked(now)
	return ks.unfiled
}

package sim

import (
	"slices"
	"strconv"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/home"
	"github.com/roostpush/roost/session/mailbox"
	"github.com/roostpush/roost/session/wire"
)

// Pushes with idempotency keys, which are said again through any node while homes change, come and go:
// one key is one message, unless a node that could have known better was out of reach.

// keyAgeMS is mailbox.idempotency_age_ms: no clock is set so far that a key is forgotten.
const keyAgeMS = 86_400_000

// keyed is what a promise with a key has besides.
type keyed struct {
	has     bool
	hash    [16]byte
	posters []*process // where it was said
	unsure  bool       // a former home was out of reach when somebody asked
	parted  bool       // who stored it stood in for its home, or could not reach that which all nodes together have
}

// keyCounts is what became of keys.
type keyCounts struct {
	keyed, again, first, elsewhere, excused, keysLeft int
	asked, found, unsureKeys, filed                   uint64
}

func (c *keyCounts) addKeys(o *keyCounts) {
	c.keyed += o.keyed
	c.again += o.again
	c.first += o.first
	c.elsewhere += o.elsewhere
	c.excused += o.excused
	c.keysLeft += o.keysLeft
	c.asked += o.asked
	c.found += o.found
	c.unsureKeys += o.unsureKeys
	c.filed += o.filed
}

func (c *keyCounts) retireKeys(s mailbox.HomesStats) {
	c.asked += s.KeysAsked
	c.found += s.KeysFound
	c.unsureKeys += s.KeysUnsure
	c.filed += s.KeysFiled
}

// key gives a promise a key, with which it will be said again a few times.
func (w *world) key(p *promise, x *mailbox.Push) {
	w.mail.keyCounts.keyed++
	p.has = true
	x.Key = session.NewKey("", strconv.Itoa(p.number), &session.Kept{
		Address: session.Address{Account: x.Account, Device: x.Device}, Payload: x.Payload, Collapse: x.Collapse, First: x.First, ExpiresMS: p.ttl / ms,
	})
	p.hash = x.Key.Hash
	p.posters = append(p.posters, p.at)
	again := *x
	again.Payload = slices.Clone(x.Payload)
	for range 1 + w.keyDice.IntN(3) {
		later := 20 * second
		if w.keyDice.IntN(4) == 0 {
			later = 200 * second // mostly in fair weather
		}
		w.after(500*ms+w.keyDice.Int64N(int64(later)), func() { w.sayAgain(p, again) })
	}
}

// sayAgain posts the same with the same key at any node.
func (w *world) sayAgain(p *promise, x mailbox.Push) {
	if w.collecting {
		return // nobody would have the time to settle it
	}
	var up []*process
	for _, n := range w.nodes {
		if n.up {
			up = append(up, n)
		}
	}
	n := up[w.keyDice.IntN(len(up))]
	w.mail.again++
	p.posters = append(p.posters, n)
	x.SentMS, x.ExpiresMS = n.nowMS(), n.nowMS()+p.ttl/ms
	x.Payload = slices.Clone(x.Payload)
	w.trace(p.to, "promise %d again at %s", p.number, n.name)
	n.keeping.homes.Post(&x, &repeated{p: p, at: n})
	spoil(x.Payload)
	n.keeping.touched()
}

// repeated hears what becomes of a promise that was said again (mailbox.Watcher).
type repeated struct {
	p     *promise
	at    *process
	heard bool
}

func (r *repeated) Kept(id session.ID, devices int, refused session.Outcome, why string) {
	w, p := r.at.w, r.p
	if r.heard {
		w.fail("promise %d said again at %s is answered twice", p.number, r.at.name)
	}
	r.heard = true
	switch {
	case refused == session.Forbidden:
		w.fail("promise %d said again at %s is refused: %s", p.number, r.at.name, why)
	case refused != session.Pending:
		if why == "" {
			w.fail("promise %d said again at %s is %v for no reason", p.number, r.at.name, refused)
		}
	case !slices.Contains(p.ids, id):
		w.fail("promise %d said again at %s is kept as %s, and was as %v", p.number, r.at.name, id.Text(), p.ids)
	case id == p.ids[0] && p.heard && p.refused == session.Pending:
		w.mail.first++
		if id.Node != r.at.name && r.at.keeping.Home(p.to.name.Account) != id.Node {
			w.mail.elsewhere++
		}
	}
}

func (r *repeated) Became(session.ID, string, session.Outcome) {}

// checkKey holds that a process which stores a promise with a key anew could not have known that it
// was kept before.
func (w *world) checkKey(n *process, p *promise, id session.ID) {
	if !p.has {
		return
	}
	account := p.to.name.Account
	if len(p.ids) > 0 {
		// A former home was out of reach, or a home was, which this node or the other stood in for. In fair
		// weather none is, and the homes have the keys that others noted for them.
		excused := w.fairSince == 0 && (p.unsure || p.parted || n.keeping.Home(account) != n.name)
		for _, d := range w.disks {
			k, has := d.keys[p.hash]
			if !has || k.since > w.now-300*ms {
				continue
			}
			s := d.keeper()
			if !excused && s.up && (s == n || w.pair(n.id, s.id).up) {
				w.fail("promise %d is kept by %s as %s although %s, which it reaches, has its key since %.3f s as %s (ids %v; homes of %s %v, leaving %v, members %v drains %v started %.3f, true %s)",
					p.number, n.name, id.Text(), s.name, float64(k.since)/float64(second), k.ID.Text(), p.ids, n.name, n.active, s.leaving, n.members, n.drains, float64(n.started)/float64(second), w.trueHome(account).name)
			}
		}
		w.mail.excused++
		if w.fairSince != 0 && p.began > w.fairSince {
			w.fail("promise %d is kept by %s as %s in fair weather, and was as %v", p.number, n.name, id.Text(), p.ids)
		}
	}
	home := w.trueHome(account)
	if n.keeping.Home(account) != n.name || home != n && !w.pair(n.id, home.id).up {
		p.parted = true
	}
}

// trueHome is the home of an account by a view that sees all nodes that are up and stay.
func (w *world) trueHome(account string) *process {
	var names []string
	for _, n := range w.nodes {
		if n.up && !n.leaving {
			names = append(names, n.name)
		}
	}
	members, err := home.New(names)
	if err != nil || len(names) == 0 {
		return w.nodes[0]
	}
	_, hash := w.hash(account, "")
	return w.nodes[nodeNumber(members.Home(hash))]
}

// leftKeys holds that the keys of a node that has left are known to others.
func (w *world) leftKeys(of *disk) {
	for hash, k := range of.keys {
		known := w.burnt[hash]
		for _, d := range w.disks {
			_, has := d.keys[hash]
			known = known || d != of && has
		}
		if !known {
			w.fail("%s has left for good, and only it knows a key of %s", of.keeper().name, k.ID.Text())
		}
		w.mail.keysLeft++
	}
}

// diskKey is an idempotency key on a disk.
type diskKey struct {
	session.FiledKey
	since int64
}

// askKey is Cluster.askKey (mailbox.HomesPorts), whose answers take no time here.
func (k *keeping) askKey(nodes []string, hash [16]byte) (found []wire.MailKey, storing bool, silent int) {
	w := k.n.w
	for _, name := range nodes {
		to := w.nodes[nodeNumber(name)]
		if !to.up || !w.pair(k.n.id, to.id).up || w.chance(w.weather.full) {
			silent++
			continue
		}
		x, held, isStoring, unread := to.keeping.homes.KeyHere(hash)
		switch {
		case held:
			found = append(found, x)
		case unread:
			silent++
		}
		storing = storing || isStoring
	}
	if silent > 0 {
		for _, p := range w.promises {
			if p.has && p.hash == hash {
				p.unsure = true
			}
		}
	}
	return found, storing, silent
}

// Keys, FileKeys and ForgetKey make a shelf a mailbox.KeyStore.

func (s shelf) Keys(nowMS int64, emit func(k session.Key, id session.ID, devices int) bool) error {
	var list []session.FiledKey
	for _, k := range s.keys {
		list = append(list, k.FiledKey)
	}
	slices.SortFunc(list, func(a, b session.FiledKey) int { return slices.Compare(a.Hash[:], b.Hash[:]) })
	slices.SortStableFunc(list, func(a, b session.FiledKey) int { return int(a.GoneMS - b.GoneMS) })
	for _, k := range list {
		if k.GoneMS > nowMS && !emit(k.Key, k.ID, k.Devices) {
			break
		}
	}
	return nil
}

func (s shelf) FileKeys(list []session.FiledKey, done func(error)) {
	if s.w.chance(s.w.weather.full) {
		done(errFull)
		return
	}
	s.append(record{keys: slices.Clone(list), done: done})
}

func (s shelf) ForgetKey(k session.Key) { s.append(record{forget: k}) }

// writeKeys writes the keys of a record.
func (s shelf) writeKeys(r *record) {
	if len(r.post) > 0 && r.post[0].Key.GoneMS > 0 {
		r.keys = append(r.keys, session.FiledKey{Key: r.post[0].Key, ID: r.post[0].ID, Devices: len(r.post)})
	}
	for _, k := range r.keys {
		since := s.w.now
		if before, has := s.keys[k.Hash]; has && before.ID == k.ID {
			since = before.since
		}
		s.keys[k.Hash] = diskKey{k, since}
	}
	if !r.forget.IsZero() {
		delete(s.keys, r.forget.Hash)
	}
}

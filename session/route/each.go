package route

// eachFound is how many entries Each finds before it lets go of a shard's lock to
// report them.
const eachFound = 64

// Each reports entries of one set, visible or not, in the order of their hashes from
// the given one on. It looks at about as many slots as it is told and returns where to
// go on, until more is false. So a snapshot is taken in steps while the table changes:
// an entry that is there throughout is reported exactly once, one that comes or goes
// meanwhile perhaps. A slot holds no account; the owner of the set knows it.
//
// f is called without a lock and may use the table.
func (t *Table) Each(a Author, from uint64, slots int, f func(address, version uint64, closed bool)) (next uint64, more bool) {
	var found [eachFound]pair
	for {
		shard := from >> shardShift
		n, looked, next, end := t.shards[shard].collect(found[:0], a, from, min(slots, stepSlots))
		for _, p := range found[:n] {
			f(^p.key, versionOf(p.val), !isOpen(p.val))
		}
		slots -= looked + 1
		switch {
		case !end:
			from = next
		case shard == shardCount-1:
			return 0, false
		default:
			from = (shard + 1) << shardShift
		}
		if slots <= 0 {
			return from, true
		}
	}
}

// collect finds entries of a set until it has looked at enough slots or found has no
// room. It stops between two hashes, and a set has one entry of a hash.
func (sh *shard) collect(found []pair, a Author, from uint64, slots int) (n, looked int, next uint64, end bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	arr := sh.array.Load()
	last := from
	for i := arr.home(from); i < arr.slots; i++ {
		looked++
		slot := arr.pair(i)
		hash, val := ^slot.key, slot.val
		if val == empty || hash < from {
			continue
		}
		if hash > last && (looked > slots || len(found) == cap(found)) {
			return len(found), looked, hash, false
		}
		last = hash
		if isLive(val) && authorOf(val) == a {
			found = append(found, *slot)
		}
	}
	return len(found), looked, 0, true
}

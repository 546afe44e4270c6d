package route

import "fmt"

// check walks all arrays and returns what is wrong with them. Nobody may be in the
// table.
func (t *Table) check() error {
	entries, open, accounts := 0, map[Author]int64{}, map[Author]int64{}
	tombs := map[Author]int64{}
	for n := range shardCount {
		sh := &t.shards[n]
		a := sh.array.Load()
		var c walkCheck
		for i := range a.slots {
			slot := a.pair(i)
			if err := c.slot(a, i, ^slot.key, a.home(^slot.key), slot.val == empty, isLive(slot.val)); err != nil {
				return fmt.Errorf("shard %d of %d slots: %w", n, a.slots, err)
			}
			if isLive(slot.val) {
				if int(^slot.key>>shardShift) != n {
					return fmt.Errorf("shard %d has %x", n, ^slot.key)
				}
				if isOpen(slot.val) {
					open[authorOf(slot.val)]++
				} else {
					tombs[authorOf(slot.val)]++
				}
			}
		}
		if err := c.counts(sh); err != nil {
			return fmt.Errorf("shard %d: %w", n, err)
		}
		entries += c.live
	}
	for n := range shardCount {
		sh := &t.accounts[n]
		a := sh.array.Load()
		var c walkCheck
		for i := range a.slots {
			w := *a.word(i)
			if err := c.slot(a, i, hashIn(w), a.home(hashIn(w)), w == empty, deviceAuthor(w) != 0); err != nil {
				return fmt.Errorf("shard %d of the index, %d slots: %w", n, a.slots, err)
			}
			if author := deviceAuthor(w); author != 0 {
				accounts[author]++
				if w&devicesMax == 0 {
					return fmt.Errorf("shard %d of the index: slot %d has no devices", n, i)
				}
			}
		}
		if err := c.counts(sh); err != nil {
			return fmt.Errorf("shard %d of the index: %w", n, err)
		}
	}
	if entries != t.Len() {
		return fmt.Errorf("%d entries, counted %d", entries, t.Len())
	}
	for i := range t.sets.all {
		a, x := Author(i), &t.sets.all[i]
		if x.open.Load() != open[a] || x.tombs.Load() != tombs[a] || x.accounts.Load() != accounts[a] {
			return fmt.Errorf("author %d counts %d open, %d closed, %d accounts; there are %d, %d, %d",
				a, x.open.Load(), x.tombs.Load(), x.accounts.Load(), open[a], tombs[a], accounts[a])
		}
	}
	return nil
}

// walkCheck is what is known of an array up to a slot.
type walkCheck struct {
	live, used int
	last       uint64
	emptied    int // the last empty slot, plus one
}

func (c *walkCheck) slot(a *array, i int, hash uint64, home int, isEmpty, live bool) error {
	if isEmpty {
		c.emptied = i + 1
		return nil
	}
	c.used++
	if hash < c.last {
		return fmt.Errorf("slot %d: %x after %x", i, hash, c.last)
	}
	c.last = hash
	if live {
		c.live++
	}
	if live && (home > i || home < c.emptied) {
		return fmt.Errorf("slot %d: %x cannot be found from its home %d", i, hash, home)
	}
	return nil
}

func (c *walkCheck) counts(sh *shard) error {
	if c.live != sh.live || c.used != sh.used {
		return fmt.Errorf("%d live and %d used, counted %d and %d", c.live, c.used, sh.live, sh.used)
	}
	return nil
}

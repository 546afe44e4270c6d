package route

import "sync/atomic"

// The index of accounts says which authors have open devices of an account. Its
// slots are one word: 40 bits of the account's hash below those that chose the shard,
// inverted; the author; and how many devices. What is said in array.go, lookup.go and
// shard.go about pairs holds for them too, with less to take care of, since a word
// cannot be half written.
//
// Two accounts that agree in the 48 bits share a slot (with 50 million accounts, one in
// five million has such a twin), which costs a question to a node that does not have
// the account. The reverse, an author that has a device and is not in the index, is
// excluded: an author enters it before its entry is in the table, and leaves after.
const (
	tagBits  = 40
	tagShift = 64 - tagBits
	tagMask  = 1<<tagBits - 1

	// devicesMax is where a count stays until its set is dropped: it has lost count.
	devicesMax = 1<<8 - 1
)

// tagged is the part of an account's hash that the index keeps.
func tagged(account uint64) uint64 { return account &^ (1<<(tagShift-shardBits) - 1) }

// keyOf returns the tag of an account as a slot holds it.
func keyOf(account uint64) uint64 { return ^(account << shardBits >> tagShift) & tagMask }

// hashIn returns the hash that a slot holds, without the bits that chose the shard.
func hashIn(word uint64) uint64 { return ^word >> tagShift << (tagShift - shardBits) }

func devicesOf(key uint64, a Author) uint64 { return key<<tagShift | uint64(a)<<8 | 1 }
func deviceAuthor(word uint64) Author       { return Author(word >> 8) }

// AppendAccount appends the visible authors that have open devices of the account,
// each once, in no particular order. There may be one among them that has none.
func (t *Table) AppendAccount(dst []Author, account uint64) []Author {
	sh := &t.accounts[account>>shardShift]
	length := len(dst)
	for {
		changes := sh.changes.Load()
		visible := t.sets.visible.Load()
		dst = sh.array.Load().appendAuthors(dst[:length], account, visible)
		if sh.unchanged(changes) {
			return dst
		}
		t.count.retries.Add(1)
	}
}

func (a *array) appendAuthors(dst []Author, account uint64, visible *authorSet) []Author {
	key, last := keyOf(account), Author(0)
	for i := a.passLargerWords(a.home(tagged(account)), key<<tagShift|^uint64(0)>>tagBits); i < a.slots; i++ {
		w := atomic.LoadUint64(a.word(i))
		if w>>tagShift > key {
			continue
		}
		if w>>tagShift < key || w == empty {
			break
		}
		// A slot that is being moved to the right may be met twice in a row.
		if author := deviceAuthor(w); author != last && visible.has(author) {
			dst = append(dst, author)
			last = author
		}
	}
	return dst
}

// addAccount counts a device in. It fails when there is no memory.
func (t *Table) addAccount(author Author, account uint64) error {
	sh := &t.accounts[account>>shardShift]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	a := sh.array.Load()
	if i := a.accountIndex(account, author); i >= 0 {
		if w := *a.word(i); w&devicesMax != devicesMax {
			atomic.StoreUint64(a.word(i), w+1)
		}
		return nil
	}
	return t.insertAccountLocked(sh, author, account)
}

// removeAccount counts a device out. There may be none, or too many to know, where
// two addresses had one hash or a set was dropped meanwhile.
func (t *Table) removeAccount(author Author, account uint64) {
	sh := &t.accounts[account>>shardShift]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	a := sh.array.Load()
	i := a.accountIndex(account, author)
	if i < 0 {
		return
	}
	switch w := *a.word(i); w & devicesMax {
	case devicesMax:
	case 1:
		sh.change()
		t.buryAccountLocked(sh, a, i)
		t.thinAccountsLocked(sh)
	default:
		atomic.StoreUint64(a.word(i), w-1)
	}
}

func (a *array) accountIndex(account uint64, author Author) int {
	key := keyOf(account)
	for i := a.passLargerWords(a.home(tagged(account)), key<<tagShift|^uint64(0)>>tagBits); i < a.slots; i++ {
		w := *a.word(i)
		if w>>tagShift > key {
			continue
		}
		if w>>tagShift < key || w == empty {
			break
		}
		if deviceAuthor(w) == author {
			return i
		}
	}
	return -1
}

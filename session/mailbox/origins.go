package mailbox

import (
	"cmp"
	"sync"
	"sync/atomic"

	"github.com/roostpush/roost/session"
)

// origins numbers the makers of ids, of which there are few, so that an item need not
// name its own in full.
type origins struct {
	mu   sync.Mutex
	list atomic.Pointer[[]session.Origin]
}

// all returns them by number. Nobody changes what it returns.
func (o *origins) all() []session.Origin {
	if list := o.list.Load(); list != nil {
		return *list
	}
	return nil
}

// number returns the number of the origin, which gets one if it has none.
func (o *origins) number(origin session.Origin) uint32 {
	if i, ok := o.find(origin); ok {
		return i
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if i, ok := o.find(origin); ok {
		return i
	}
	origin.Node = string(append([]byte(nil), origin.Node...)) // it may be borrowed
	list := append(append([]session.Origin(nil), o.all()...), origin)
	o.list.Store(&list)
	return uint32(len(list) - 1)
}

func (o *origins) find(origin session.Origin) (uint32, bool) {
	list := o.all()
	for i := len(list) - 1; i >= 0; i-- { // the newest is asked for most
		if list[i] == origin {
			return uint32(i), true
		}
	}
	return 0, false
}

// compareIDs is the order in which a device gets its messages.
func compareIDs(a, b session.ID) int {
	if c := cmp.Compare(a.Epoch, b.Epoch); c != 0 {
		return c
	}
	if c := cmp.Compare(a.Number, b.Number); c != 0 {
		return c
	}
	return cmp.Compare(a.Node, b.Node)
}

package cluster

import (
	"testing"
	"time"

	"github.com/roostpush/roost/session/mailbox"
)

// unreadKeys are a disk that nobody reads, since the mailbox of these tests does not run: the node
// cannot say which keys it knows.
type unreadKeys struct{ mailbox.KeyStore }

// TestKeysOfSilentNodes asks a node that cannot say what it knows and one that is not linked: for the
// race detector, which sees both be counted.
func TestKeysOfSilentNodes(t *testing.T) {
	a, b, _ := pair(t)
	defer a.Close()
	b.keyTimeout = time.Minute
	if found, storing, silent := b.askKey([]string{"a", "nobody"}, [16]byte{1}); len(found) != 0 || storing || silent != 2 {
		t.Errorf("found %v, storing %v, %d silent", found, storing, silent)
	}
}

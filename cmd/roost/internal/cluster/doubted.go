package cluster

import (
	"slices"
	"strings"
	"sync"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/gossip"
)

// doubted are the nodes that gossip believes dead while the link to them is up. A link
// gives up by itself after peer.silence_max, so one that is up has heard of the node since:
// its probes were late, on a host that is short of CPU, and it will object within
// moments. To drop its sessions meanwhile would call connected devices offline.
//
// Whoever comes second forgets the node: gossip, if the link is down already, else the
// link when it goes down.
type doubted struct {
	mu   sync.Mutex
	list []gossip.Member
}

func (d *doubted) put(m gossip.Member) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list = append(slices.DeleteFunc(d.list, func(x gossip.Member) bool { return x.Node == m.Node }), m)
}

// take removes and returns what was put of a process.
func (d *doubted) take(o session.Origin) (m gossip.Member, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := slices.IndexFunc(d.list, func(x gossip.Member) bool { return x.Origin() == o })
	if i < 0 {
		return m, false
	}
	m = d.list[i]
	d.list = slices.Delete(d.list, i, i+1)
	return m, true
}

// clear is told that a node is a member again, or another process is.
func (d *doubted) clear(node string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list = slices.DeleteFunc(d.list, func(x gossip.Member) bool { return x.Node == node })
}

// members are the nodes that gossip believes in and those that are doubted, by id.
func (c *Cluster) members() []gossip.Member {
	all := c.gossip.Members()
	c.doubted.mu.Lock()
	defer c.doubted.mu.Unlock()
	for _, m := range c.doubted.list {
		if !slices.ContainsFunc(all, func(x gossip.Member) bool { return x.Node == m.Node }) {
			all = append(all, m)
		}
	}
	slices.SortFunc(all, func(a, b gossip.Member) int { return strings.Compare(a.Node, b.Node) })
	return all
}

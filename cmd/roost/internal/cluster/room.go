package cluster

import "slices"

// appendIncomplete appends the nodes of whose devices some are not in the table, and not
// in its index of accounts either: they are asked by a message to an account as if they
// were named there.
func (c *Cluster) appendIncomplete(dst []string) []string {
	if !c.replica.Lacks() {
		return dst
	}
	named := len(dst)
	dst = c.replica.AppendIncomplete(dst)
	kept := named
	for _, node := range dst[named:] {
		if !slices.Contains(dst[:named], node) {
			dst[kept] = node
			kept++
		}
	}
	return dst[:kept]
}

// watchRoom logs once when the table begins to lack devices, and when it has them all
// again. A full table does not make the node unready: every node has the same one, and
// what is in it is as good as ever.
func (c *Cluster) watchRoom() {
	crowded := c.replica.Lacks()
	if crowded == c.crowded {
		return
	}
	c.crowded = crowded
	if crowded {
		c.log.Warn("the table is full: some devices of other nodes are not in it, and pushes from here to a device that is not are overloaded; raise route.entries_max",
			"entries", c.table.Len(), "entries_max", c.settings.Route.EntriesMax, "own_entries", c.settings.Route.OwnEntries, "nodes", c.replica.AppendIncomplete(nil))
		return
	}
	c.log.Info("the table has all devices again", "entries", c.table.Len())
}

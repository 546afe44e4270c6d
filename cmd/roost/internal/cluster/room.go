package cluster

import "slices"

// appendUnnamed appends the nodes whose devices the index of accounts may lack: because the
// table had no room for some, or has not got their sessions yet. They are asked by a
// message to an account as if they were named there.
func (c *Cluster) appendUnnamed(dst []string) []string {
	if !c.replica.Crowded() && c.replica.Lacking() == 0 {
		return dst
	}
	kept := len(dst)
	dst = c.replica.AppendLacking(c.replica.AppendIncomplete(dst))
	for _, node := range dst[kept:] {
		if !slices.Contains(dst[:kept], node) {
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
	crowded := c.replica.Crowded()
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

package cluster

import "time"

// skewed logs that another node's clock and this one's have come apart, or together
// again. Devices are displaced in the right order all the same (DESIGN.md decision 3,
// Version); times that people read, and the ends of tokens, are not.
func (c *Cluster) skewed(node string, aheadMS int64, skewed bool) {
	ahead := time.Duration(aheadMS) * time.Millisecond
	switch {
	case !skewed:
		c.log.Info("the clocks of two nodes agree again", "node", node, "skew", ahead.String())
	case ahead > 0:
		c.log.Warn("a node's clock is ahead of this one's: see to the time service of both", "node", node, "skew", ahead.String())
	default:
		c.log.Warn("a node's clock is behind this one's: see to the time service of both", "node", node, "skew", (-ahead).String())
	}
}

package replica

import "testing"

// TestClockSetBack sets the clock of n1 back by an hour while it waits for something that
// does not come. It has to wait once more as long as it was to wait, not for an hour.
func TestClockSetBack(t *testing.T) {
	const hour = 3_600_000
	lose := func(c *cluster) { clear(c.queues) }
	names := devices(10)
	for _, test := range []struct {
		name    string
		longest func(Config) int // wait, milliseconds
		waits   func(c *cluster) // n1, whose clock is an hour ahead, begins to wait
	}{
		{
			"for a log, before the first tick",
			func(cfg Config) int { return cfg.AskMS },
			func(c *cluster) {
				c.start(1, 2)
				lose(c)
				c.nodes[0].connect(names[0])
				lose(c)
			},
		},
		{
			"for a log, asked for between two ticks at which the clock was right",
			func(cfg Config) int { return cfg.AskMS },
			func(c *cluster) {
				c.nodes[1].skewMS = 0
				c.quiet(1000)
				c.nodes[1].skewMS = hour
				c.start(0, 2)
				lose(c)
				c.nodes[0].connect(names[0])
				lose(c)
			},
		},
		{
			"for the rest of a snapshot",
			func(cfg Config) int { return cfg.LoadMS },
			func(c *cluster) {
				for _, name := range names {
					c.nodes[0].connect(name)
				}
				c.start(1, 2)
				for !c.nodes[1].byNode["n0"].load.active {
					for _, key := range c.links() {
						c.deliver(key)
					}
				}
				c.nodes[0].transfers = nil // it gave up
				lose(c)
			},
		},
		{
			"for an answer whether a device is held",
			func(cfg Config) int { return cfg.QuestionMS },
			func(c *cluster) {
				c.nodes[1].skewMS = 0
				c.nodes[1].connect(names[0])
				c.quiet(1000)
				c.nodes[1].skewMS = hour
				c.nodes[0].connect(names[0])
				for c.nodes[1].Stats().Questions == 0 {
					c.deliver([2]string{"n0", "n1"})
				}
				lose(c)
			},
		},
		{
			"for the next comparison of heads",
			func(cfg Config) int { return cfg.HeadsMS },
			func(c *cluster) {
				c.quiet(5000)
				c.nodes[0].cfg.HeadsMS = hour // it is n1 that has to ask
				c.nodes[0].connect(names[0])
				lose(c)
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCluster(2, func(cfg *Config) { cfg.ChunkChanges, cfg.BatchChanges, cfg.ChunksPerTick = 4, 4, 1 })
			c.nodes[1].skewMS = hour
			test.waits(c)
			c.nodes[1].skewMS = 0
			c.quiet(int64(test.longest(c.cfg)) + 500) // and some ticks for what follows
			c.agree(t, names)
		})
	}
}

package budget

import (
	"context"
	"fmt"
	"slices"

	"github.com/roostpush/roost/bench/experiment"
	"github.com/roostpush/roost/bench/report"
)

const (
	whatMailboxReady = "a mailbox with many messages, restart to ready"
	whatMailboxDrain = "a device's messages that waited, from its hello to the last one"
)

// hoard is the experiment on the servers' core: its node would inherit this process's.
func (b *board) hoard() experiment.Hoard {
	h := b.cfg.Mailbox
	h.Program, h.Core = b.cfg.Roost, b.cfg.ServerCPU
	h.Extra = slices.Concat(h.Extra, b.cfg.ServeArgs)
	return h
}

// runMailbox fills a node's mailboxes, kills it, starts it again and lets devices take
// what waited for them.
func runMailbox(ctx context.Context, b *board) ([]Row, error) {
	h := b.hoard()
	r, err := experiment.Mailbox(ctx, h, func(line string) { b.say("%s", line) })
	if err != nil {
		return nil, err
	}
	rows := []Row{
		{
			What: fmt.Sprintf("%s, %d messages", whatMailboxReady, r.Messages), Budget: fmt.Sprintf("< %s", h.ReadyMax),
			Value: float64(r.Ready), Limit: float64(h.ReadyMax) - 1, timed: true,
			Figure: fmt.Sprintf("%s; then %.0f MiB resident; filled at %.0f a second, each on disk before its answer",
				report.Duration(r.Ready), float64(r.RSSBytes)/(1<<20), r.PerSecond),
		},
		{
			What: fmt.Sprintf("%s, %d messages", whatMailboxDrain, h.Each), Budget: fmt.Sprintf("< %s, the median device", h.DrainMax),
			Value: float64(r.Drain()), Limit: float64(h.DrainMax) - 1, timed: true,
		},
	}
	if n := len(r.Drains); n > 0 {
		rows[1].Figure = fmt.Sprintf("median %s, fastest %s, slowest %s of %d devices, in order, each message acknowledged",
			report.Duration(r.Drain()), report.Duration(r.Drains[0]), report.Duration(r.Drains[n-1]), n)
	}
	if n := len(r.Early); n > 0 {
		rows[1].Note = fmt.Sprintf("the first %d devices came while the node looked through its store, until %s after the restart: median %s, slowest %s",
			n, report.Duration(r.Indexed), report.Duration(r.Early[n/2]), report.Duration(r.Early[n-1]))
	}
	if !r.Whole() {
		for i := range rows {
			rows[i].Verdict = Broken
			rows[i].Note = fmt.Sprintf("%d refused (%s), %d devices did not get theirs %v", r.Refused, r.Why, len(r.Wrong), r.Wrong[:min(len(r.Wrong), 3)])
		}
	}
	return rows, b.keep("budget-mailbox", r)
}

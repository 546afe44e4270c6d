package budget

import (
	"context"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/roostpush/roost/bench/experiment"
	"github.com/roostpush/roost/bench/report"
)

const (
	whatLossSilent = "a node of three that is silent, until the others have dropped it"
	whatLossDied   = "a node of three whose process died, until the others have dropped it"
)

// The budgets of a node's loss, which every round must hold: a second that nobody knows of
// is a second of lost messages.
const (
	lossSilentMax = 5 * time.Second
	lossDiedMax   = 500 * time.Millisecond
)

type lossSizes struct{ Silent, Died int } // rounds

func defaultLoss() lossSizes { return lossSizes{Silent: 3, Died: 5} }

// Limits of looking whether a node is gone.
const (
	lossWait = 15 * time.Second
	lossPoll = 2 * time.Millisecond
)

// losses are how long each round took until both others no longer knew the node.
type losses struct {
	Silent []time.Duration `json:"silent_ns"`
	Died   []time.Duration `json:"died_ns"`
}

// runLoss stops the last of three nodes and lets it go on, a few times, and then kills it
// and starts it again.
func runLoss(ctx context.Context, b *board) ([]Row, error) {
	z := b.cfg.Loss
	var all losses
	err := b.withCluster(ctx, 3, nil, func(c *experiment.Cluster) error {
		last := len(c.Nodes) - 1
		for range z.Silent {
			begun := time.Now()
			if err := syscall.Kill(c.Nodes[last].PID, syscall.SIGSTOP); err != nil {
				return fmt.Errorf("budget: stop a node: %w", err)
			}
			took, err := awaitLoss(ctx, c, last, begun)
			if resumeErr := syscall.Kill(c.Nodes[last].PID, syscall.SIGCONT); err == nil && resumeErr != nil {
				err = fmt.Errorf("budget: let a node go on: %w", resumeErr)
			}
			if err != nil {
				return err
			}
			all.Silent = append(all.Silent, took)
			if err := c.AwaitLinked(ctx); err != nil {
				return err
			}
		}
		for range z.Died {
			begun := time.Now()
			c.Nodes[last].Kill()
			took, err := awaitLoss(ctx, c, last, begun)
			if err != nil {
				return err
			}
			all.Died = append(all.Died, took)
			if err := c.Start(ctx, last); err != nil {
				return err
			}
			if err := c.AwaitLinked(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return []Row{
		lossRow(whatLossSilent, "< 5 s (SIGSTOP)", lossSilentMax, all.Silent),
		lossRow(whatLossDied, "< 500 ms (kill -9)", lossDiedMax, all.Died),
	}, b.keep("budget-cluster-loss", all)
}

// awaitLoss waits until no other node takes the lost one for a member, and returns since
// when that is so.
func awaitLoss(ctx context.Context, c *experiment.Cluster, lost int, begun time.Time) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, lossWait)
	defer cancel()
	for i, n := range c.Nodes {
		if i == lost {
			continue
		}
		for {
			known, err := n.Knows(ctx, experiment.NodeName(lost))
			if err == nil && !known {
				break
			}
			if err := experiment.Pause(ctx, lossPoll); err != nil {
				return 0, fmt.Errorf("budget: %s still takes the lost %s for a member: %w", experiment.NodeName(i), experiment.NodeName(lost), err)
			}
		}
	}
	return time.Since(begun), nil
}

// lossRow judges the longest round.
func lossRow(what, budget string, most time.Duration, rounds []time.Duration) Row {
	row := Row{What: what, Budget: budget, Limit: float64(most) - 1, Verdict: Broken, Figure: "not measured"}
	if len(rounds) == 0 {
		return row
	}
	var text string
	for _, d := range rounds {
		text += " " + report.Duration(d)
	}
	row.Verdict, row.Value = "", float64(slices.Max(rounds))
	row.Figure = fmt.Sprintf("%s at most, by both others' /v1/nodes (rounds:%s)", report.Duration(slices.Max(rounds)), text)
	return row
}

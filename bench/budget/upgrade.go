package budget

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/roostpush/roost/bench/compare"
	"github.com/roostpush/roost/bench/report"
)

const (
	whatUpgradeCPU     = "upgrades with an HS256 token, registry and record, CPU"
	whatUpgradeLatency = "upgrades with an HS256 token, registry and record, latency"
)

// The budgets of upgrades.
const (
	upgradeToBare = 1.4
	upgradeP99Max = 50 * time.Millisecond
)

type upgradeSizes struct {
	PerSecond      float64
	Duration, Hold time.Duration
	Rounds         int
}

// Many short rounds: what waking a process costs here changes within seconds and stays so
// for seconds. The same bare server takes 50 µs an upgrade while each wake-up brings it
// several, and 100 µs while each brings one. Two rounds side by side are
// seldom of two kinds if they are short, and the median passes over those that are.
func defaultUpgrade() upgradeSizes {
	return upgradeSizes{PerSecond: 5_000, Duration: 1500 * time.Millisecond, Hold: 500 * time.Millisecond, Rounds: 11}
}

// secret signs the tokens of the devices here; it protects nothing.
const secret = "the secret of a benchmark, long enough for HS256"

// runUpgrade compares a whole node's upgrades with those of gobwas/ws on a bare poller,
// which reads no token and remembers nobody.
func runUpgrade(ctx context.Context, b *board) ([]Row, error) {
	dir, err := os.MkdirTemp("", "roost-budget-")
	if err != nil {
		return nil, fmt.Errorf("budget: %w", err)
	}
	defer os.RemoveAll(dir)
	keys := filepath.Join(dir, "keys.json")
	jwks := fmt.Sprintf(`{"keys":[{"kty":"oct","alg":"HS256","k":%q}]}`, base64.RawURLEncoding.EncodeToString([]byte(secret)))
	if err := os.WriteFile(keys, []byte(jwks), 0o600); err != nil {
		return nil, fmt.Errorf("budget: %w", err)
	}
	z := b.cfg.Upgrade
	load := compare.DefaultConnect()
	load.PerSecond, load.Duration, load.Hold = z.PerSecond, z.Duration, z.Hold
	plan := compare.Default(load)
	plan.Rounds, plan.ServerCPU, plan.GeneratorCPU, plan.Path = z.Rounds, b.cfg.ServerCPU, b.cfg.OwnCPU, "/ws"
	plan.As.TokenSecret, plan.As.Sources = secret, b.cfg.Sources
	serve := append([]string{
		b.cfg.Roost, "serve", "--listen", "{listen}", "--internal", "127.0.0.1:0", "--data", "{temp}/data", "--set", "auth.keys_file=" + keys,
	}, b.cfg.ServeArgs...)
	plan.Targets = []compare.Target{{Name: "roost", Command: serve}, {Name: "upgrade", Command: []string{b.cfg.Peers, "upgrade", "--listen", "{listen}"}}}
	result, err := compare.Run(ctx, plan, compare.Options{})
	if err != nil {
		return nil, err
	}
	if result.Early != "" && ctx.Err() == nil {
		return nil, fmt.Errorf("budget: upgrades: %s", result.Early)
	}
	rows := upgradeRows(result, z)
	if err := b.keep("budget-upgrade", result); err != nil {
		return rows, err
	}
	for _, s := range result.Samples {
		switch {
		case s.Wrong != "":
			rows[0].Verdict, rows[0].Note = Broken, fmt.Sprintf("%s in round %d: %s", s.Target, s.Round, s.Wrong)
		case s.Invalid != "" && s.Target == "roost":
			// CPU an upgrade is what it is; latency says nothing when starts were late.
			err = fmt.Errorf("%w in round %d: %s", errDisturbed, s.Round, s.Invalid)
		}
	}
	if err != nil && quietRounds(result) >= minQuiet(z.Rounds) {
		err = nil
	}
	return rows, err
}

// quietRounds counts the rounds of ours in which the generator was not disturbed.
func quietRounds(r *compare.Result) (n int) {
	for _, s := range r.Samples {
		if s.Target == "roost" && s.Invalid == "" {
			n++
		}
	}
	return n
}

// minQuiet is how many quiet rounds make a median that a disturbed one cannot move.
func minQuiet(rounds int) int { return rounds/2 + 1 }

func upgradeRows(r *compare.Result, z upgradeSizes) []Row {
	own, _ := r.Figure("roost", compare.CPUPerUpgrade)
	bare, _ := r.Figure("upgrade", compare.CPUPerUpgrade)
	ratio, ok := r.Ratio("roost", "upgrade", compare.CPUPerUpgrade)
	p99, ok99 := r.Figure("roost", compare.P99)
	bare99, _ := r.Figure("upgrade", compare.P99)
	rate, _ := r.Figure("roost", compare.Rate)
	rows := []Row{
		{
			What: whatUpgradeCPU, Budget: fmt.Sprintf("≤ %g × gobwas on a bare poller", upgradeToBare), Limit: upgradeToBare, Value: ratio.Median,
			Figure: fmt.Sprintf("%.2f × (%.2f to %.2f in %d rounds), %s an upgrade and its end", ratio.Median, ratio.Min, ratio.Max,
				len(ratio.Values), report.Duration(time.Duration(own.Median))),
			Floor: fmt.Sprintf("%s an upgrade and its end", report.Duration(time.Duration(bare.Median))),
		},
		{
			What: whatUpgradeLatency, Budget: fmt.Sprintf("p99 < %s at %.0f a second", upgradeP99Max, z.PerSecond),
			Limit: float64(upgradeP99Max) - 1, Value: p99.Median, timed: true,
			Figure: fmt.Sprintf("p99 %s (%s to %s in %d rounds) at %.0f a second", report.Duration(time.Duration(p99.Median)),
				report.Duration(time.Duration(p99.Min)), report.Duration(time.Duration(p99.Max)), len(p99.Values), rate.Median),
			Floor: fmt.Sprintf("p99 %s", report.Duration(time.Duration(bare99.Median))),
		},
	}
	if !ok {
		rows[0].Verdict = Broken
	}
	if !ok99 {
		rows[1].Verdict, rows[1].Figure, rows[1].Floor = Broken, "not measured: there was no round in which the generator was not disturbed", ""
	}
	return rows
}

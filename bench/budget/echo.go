package budget

import (
	"context"
	"fmt"
	"time"

	"github.com/roostpush/roost/bench/compare"
	"github.com/roostpush/roost/bench/report"
)

// The budgets of echoes, as ratios of server CPU a message.
const (
	echoToPoller  = 1.1
	echoToGnetFew = 0.9
	echoToGWSFew  = 0.9
	echoToGWSMany = 1.05
)

// echoFloor is the cheapest server of one read and one write a message that we know. A
// budget beside a rival which even that does not hold says nothing about our server.
const echoFloor = "raw"

type echoSizes struct {
	Few, Many             int64
	Payloads              []int
	RoundsFew, RoundsMany int
	TimeFew, TimeMany     time.Duration
}

func defaultEcho() echoSizes {
	return echoSizes{
		Few: 200, Many: 10_000, Payloads: []int{20, 1 << 10},
		// The machine has phases in which one server is disturbed and the next is not: many short rounds.
		RoundsFew: 17, RoundsMany: 5, TimeFew: 700 * time.Millisecond, TimeMany: time.Second,
	}
}

// echoRival is a server beside ours and the ratio that we may have.
type echoRival struct {
	name string
	most float64
}

// runEcho compares our bare echo with the floor and with others, for each number of
// connections and payload, with one message under way on each connection: the load of
// make bench-peers.
func runEcho(ctx context.Context, b *board) ([]Row, error) {
	z := b.cfg.Echo
	few := []echoRival{{"poller", echoToPoller}, {"gnet", echoToGnetFew}, {"gws", echoToGWSFew}}
	many := []echoRival{{"poller", echoToPoller}, {"gws", echoToGWSMany}}
	var rows []Row
	for _, payload := range z.Payloads {
		cell, err := b.echoCell(ctx, z.Few, payload, z.RoundsFew, z.TimeFew, few, echoFloor)
		if err != nil {
			return rows, err
		}
		rows = append(rows, cell...)
		if cell, err = b.echoCell(ctx, z.Many, payload, z.RoundsMany, z.TimeMany, many, ""); err != nil {
			return rows, err
		}
		rows = append(rows, cell...)
	}
	return rows, nil
}

// echoCell compares our server with rivals, in one run; floor names the peer that
// no server can be below; empty: none.
func (b *board) echoCell(ctx context.Context, connections int64, payload, rounds int, each time.Duration, rivals []echoRival, floor string) ([]Row, error) {
	plan := compare.Default(compare.DefaultEcho())
	plan.Load.Connections, plan.Load.Inflight, plan.Load.PayloadBytes = connections, 1, payload
	plan.Load.Duration, plan.Load.Timeout = each, 5*time.Second
	plan.Rounds, plan.ServerCPU, plan.GeneratorCPU, plan.As.Sources = rounds, b.cfg.ServerCPU, b.cfg.OwnCPU, b.cfg.Sources
	plan.Targets = []compare.Target{{Name: "roost", Command: []string{b.cfg.Bench, "echo-server", "--listen", "{listen}"}}}
	for _, r := range rivals {
		plan.Targets = append(plan.Targets, b.echoPeer(r.name))
	}
	if floor != "" {
		plan.Targets = append(plan.Targets, b.echoPeer(floor))
	}
	b.say("echo, %d connections, %d bytes", connections, payload)
	result, err := compare.Run(ctx, plan, compare.Options{})
	if err != nil {
		return nil, err
	}
	if result.Early != "" && ctx.Err() == nil {
		return nil, fmt.Errorf("budget: echo: %s", result.Early)
	}
	if err := b.keep(fmt.Sprintf("budget-echo-%d-%d", connections, payload), result); err != nil {
		return nil, err
	}
	own, _ := result.Figure("roost", compare.CPUPerMessage)
	var rows []Row
	for _, r := range rivals {
		row := Row{
			What:   fmt.Sprintf("echo, %d connections, %d B, beside %s", connections, payload, r.name),
			Budget: fmt.Sprintf("≤ %g × %s, server CPU a message", r.most, r.name), Limit: r.most,
		}
		theirs, _ := result.Figure(r.name, compare.CPUPerMessage)
		row.Floor = fmt.Sprintf("%s: %s a message", r.name, report.Duration(time.Duration(theirs.Median)))
		ratio, ok := result.Ratio("roost", r.name, compare.CPUPerMessage)
		if row.Value = ratio.Median; !ok {
			row.Verdict = Broken
		}
		row.Figure = fmt.Sprintf("%.2f × (%.2f to %.2f in %d rounds), %s a message", ratio.Median, ratio.Min, ratio.Max, len(ratio.Values),
			report.Duration(time.Duration(own.Median)))
		for _, s := range result.Samples {
			if s.Wrong != "" && (s.Target == "roost" || s.Target == r.name) {
				row.Verdict, row.Note = Broken, fmt.Sprintf("%s in round %d: %s", s.Target, s.Round, s.Wrong)
			}
		}
		if floor != "" {
			row.beside(result, floor, r)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func (b *board) echoPeer(name string) compare.Target {
	return compare.Target{Name: name, Command: []string{b.cfg.Peers, name, "--listen", "{listen}"}}
}

// beside says where the floor is, and that the budget is below it if so.
func (r *Row) beside(result *compare.Result, floor string, rival echoRival) {
	ratio, ok := result.Ratio(floor, rival.name, compare.CPUPerMessage)
	if !ok {
		r.Verdict, r.Note = Broken, "the floor was not measured"
		return
	}
	r.Floor += fmt.Sprintf("; %s: %.2f × (%.2f to %.2f)", floor, ratio.Median, ratio.Min, ratio.Max)
	r.forbid(ratio.Median, "recvfrom(2) and sendto(2)")
}

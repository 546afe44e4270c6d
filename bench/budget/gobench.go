package budget

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/roostpush/roost/bench/hostinfo"
)

// goBench is what a program of Go benchmarks (go test -c) printed: figures by the
// benchmark's name, without Benchmark and the number of cores, and by their unit.
type goBench map[string]map[string]float64

// goBenchMax bounds one run of such a program.
const goBenchMax = 5 * time.Minute

// errNotBuilt says that a program of benchmarks is not there; make bench builds them.
var errNotBuilt = errors.New("it is not built: make bench")

// runGoBench runs those benchmarks of a program that the pattern names, on every core:
// some of them need a second one for who disturbs them.
func runGoBench(ctx context.Context, program, pattern, benchtime string) (goBench, error) {
	if _, err := os.Stat(program); err != nil {
		return nil, errNotBuilt
	}
	ctx, cancel := context.WithTimeout(ctx, goBenchMax)
	defer cancel()
	cmd := exec.Command(program, "-test.run", "^$", "-test.bench", pattern, "-test.benchtime", benchtime, "-test.benchmem", "-test.timeout", goBenchMax.String())
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := hostinfo.StartPinned(cmd, hostinfo.EveryCore); err != nil {
		return nil, fmt.Errorf("budget: start %s: %w", program, err)
	}
	end := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer end()
	if err := cmd.Wait(); err != nil {
		text := out.String()
		return nil, fmt.Errorf("budget: %s -test.bench '%s': %w; it said:\n%s", program, pattern, err, text[max(len(text)-2000, 0):])
	}
	return parseGoBench(out.Bytes()), nil
}

var goBenchCores = regexp.MustCompile(`-\d+$`)

// parseGoBench reads lines like "BenchmarkX/y-2  1000  138.5 ns/op  0 allocs/op".
func parseGoBench(text []byte) goBench {
	all := goBench{}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		figures := map[string]float64{}
		for i := 2; i+1 < len(fields); i += 2 {
			if v, err := strconv.ParseFloat(fields[i], 64); err == nil {
				figures[fields[i+1]] = v
			}
		}
		all[goBenchCores.ReplaceAllString(strings.TrimPrefix(fields[0], "Benchmark"), "")] = figures
	}
	return all
}

// at returns a figure; a row whose figure is missing does not hold.
func (g goBench) at(r *Row, name, unit string) float64 {
	v, ok := g[name][unit]
	if !ok {
		r.Verdict, r.Note = Broken, fmt.Sprintf("there is no %s of Benchmark%s", unit, name)
	}
	return v
}

// notBuilt are rows of benchmarks that are not there, which says nothing about this run.
func notBuilt(what ...string) (rows []Row) {
	for _, w := range what {
		rows = append(rows, Row{What: w, Budget: "as its Go benchmark says", Verdict: NotHere, Figure: errNotBuilt.Error()})
	}
	return rows
}

package budget

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/roostpush/roost/bench/report"
)

// Verdict is how a row ended.
type Verdict string

// The verdicts.
const (
	Held    Verdict = "held"
	Broken  Verdict = "FAILED"
	Invalid Verdict = "INVALID"  // the generator or the machine was disturbed, as often as it was tried
	NotHere Verdict = "not here" // it takes a virtual machine; says nothing about this run

	// Forbidden is a budget below what the bare system calls take in the same rounds, which no
	// server can do without. Ours must be as near to them as forbiddenShare, or the row is Broken.
	Forbidden Verdict = "forbidden"
)

// forbiddenShare is what a server may take of its bare system calls where they alone are
// above its budget: what it may take of a bare poller.
const forbiddenShare = 1.1

// Row is one budget beside what was measured.
type Row struct {
	What    string  `json:"what"`
	Budget  string  `json:"budget"`
	Figure  string  `json:"figure"`
	Floor   string  `json:"floor,omitempty"` // what it was measured beside, in the same run
	Verdict Verdict `json:"verdict"`
	Value   float64 `json:"value"`          // in the unit of Limit
	Limit   float64 `json:"limit"`          // at most
	Note    string  `json:"note,omitempty"` // what else is worth knowing
	Tries   int     `json:"tries"`

	timed bool // it is a time: it means nothing when the generator was disturbed; CPU does
}

// judge fills the verdict in: the value must not be above the limit.
func (r Row) judge() Row {
	if r.Verdict == "" {
		if r.Verdict = Broken; r.Value <= r.Limit {
			r.Verdict = Held
		}
	}
	return r
}

// doubt says what makes rounds mean nothing. stamped is in how many of them the kernel
// said when messages arrived.
func (r *Row) doubt(rounds []*report.Result, stamped int) {
	for _, round := range rounds {
		if w := wrong(round); w != "" {
			r.Verdict, r.Note = Broken, w
		}
	}
	if stamped != len(rounds) {
		r.Verdict, r.Note = Broken, "this kernel does not say when a message arrived (SO_TIMESTAMPNS)"
	}
}

// doubtRamp says what makes half of a ramp's rate mean less.
func (r *Row) doubtRamp(ramp *report.Result) {
	if len(ramp.Saturated) > 0 {
		r.Note += "; the generator, not the server, ended the ramp: the highest rate is a lower bound"
	}
}

// excuse says that a row that does not hold is the machine's doing, and why.
func (r *Row) excuse(why string) error {
	r.Verdict, r.Note = Invalid, why
	return fmt.Errorf("%w: %s: %s", errMachine, r.What, why)
}

// forbid judges a row that does not hold by the bare system calls, what they take being in the
// row's unit, if they are above the budget themselves.
func (r *Row) forbid(bare float64, calls string) {
	if r.Verdict == "" && r.Value > r.Limit && bare > r.Limit && r.Value <= forbiddenShare*bare {
		r.Verdict, r.Note = Forbidden, fmt.Sprintf("forbidden here to any server: %s alone are above the budget, and ours is within %g x of them", calls, forbiddenShare)
	}
}

// failed returns the rows of something that could not be measured at all.
func failed(err error, what ...string) (rows []Row) {
	for _, w := range what {
		rows = append(rows, Row{What: w, Verdict: Broken, Figure: "not measured", Note: err.Error()})
	}
	return rows
}

// Result is all rows. Run makes it; afterwards it is read only.
type Result struct {
	Started time.Time     `json:"started"`
	Wall    time.Duration `json:"wall_ns"`
	Machine string        `json:"machine"`
	Rows    []Row         `json:"rows"`
	Early   string        `json:"early,omitempty"` // why it ended before its time

	runs []named // for plots
}

// named is a run that a row was measured by.
type named struct {
	name string
	run  *report.Result
}

// Exit returns the exit code of package report.
func (r *Result) Exit() int {
	code := report.ExitOK
	for _, row := range r.Rows {
		switch row.Verdict {
		case Broken:
			return report.ExitThreshold
		case Invalid:
			code = report.ExitSaturated
		}
	}
	if r.Early != "" {
		return report.ExitEarly
	}
	return code
}

// WriteRow writes one row as people read it.
func (r Row) WriteRow(w io.Writer) {
	fmt.Fprintf(w, "%-9s%s\n", r.Verdict, r.What)
	line := func(name, text string) {
		if text != "" {
			fmt.Fprintf(w, "         %-8s%s\n", name, text)
		}
	}
	line("budget", r.Budget)
	line("figure", r.Figure)
	line("floor", r.Floor)
	line("note", r.Note)
}

// WriteTable writes all rows, and how many of them held.
func (r *Result) WriteTable(w io.Writer) {
	fmt.Fprintf(w, "\nbudgets, %s, %s, %s\n\n", r.Machine, r.Started.Format(time.DateTime), r.Wall.Round(time.Second))
	counts := map[Verdict]int{}
	for _, row := range r.Rows {
		counts[row.Verdict]++
		row.WriteRow(w)
	}
	var parts []string
	for _, v := range []Verdict{Held, Forbidden, Broken, Invalid, NotHere} {
		if counts[v] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[v], strings.ToLower(string(v))))
		}
	}
	fmt.Fprintf(w, "\n%d rows: %s\n", len(r.Rows), strings.Join(parts, ", "))
	if r.Early != "" {
		fmt.Fprintf(w, "EARLY: %s; these are the results so far\n", r.Early)
	}
}

// WriteHTML writes one self-contained page: the rows, and plots of the runs behind them.
func (r *Result) WriteHTML(path string) error {
	table := &report.Table{Head: []string{"what", "budget", "figure", "floor", "verdict"}}
	for _, row := range r.Rows {
		mark := map[Verdict]string{Held: "ok", Broken: "failed", Invalid: "failed"}[row.Verdict]
		figure := row.Figure
		if row.Note != "" {
			figure += " (" + row.Note + ")"
		}
		table.Rows = append(table.Rows, report.TableRow{Cells: []string{row.What, row.Budget, figure, row.Floor, string(row.Verdict)}, Mark: mark})
	}
	page := report.Page{
		Title: "Roost's budgets", Lines: []string{r.Machine, r.Started.Format(time.RFC1123) + ", " + r.Wall.Round(time.Second).String()},
		Verdict: map[bool]string{true: "all held that can be", false: "not all held"}[r.Exit() == report.ExitOK], Held: r.Exit() == report.ExitOK,
		Sections: []report.Section{{Table: table}},
	}
	for _, n := range r.runs {
		page.Sections = append(page.Sections, n.run.Section(n.name))
	}
	return page.Write(path)
}

package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/roostpush/roost/bench/tally"
)

//go:embed page.html
var pageText string

// page is the frame of every HTML report: style and headline, no script, nothing from
// outside.
var page = template.Must(template.New("page").Parse(pageText))

// Page is one self-contained HTML file.
type Page struct {
	Title    string
	Lines    []string // below the title
	Verdict  string   // one word; empty: none
	Held     bool
	Sections []Section
}

// Section is a part of a page: plots, a table as text, or both.
type Section struct {
	Title string
	Plots []template.HTML // SVG made by this package
	Text  string          // shown as it is, in a fixed width
	Table *Table
}

// Table is rows of cells; a row whose Mark is not empty is coloured by it (ok, failed,
// other).
type Table struct {
	Head []string
	Rows []TableRow
}

// TableRow is one row.
type TableRow struct {
	Cells []string
	Mark  string
}

// Write writes the page to a file, making its folder, whole or not at all.
func (p Page) Write(path string) error {
	var b bytes.Buffer
	if err := page.Execute(&b, p); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return writeWhole(path, b.Bytes())
}

func writeWhole(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if err := os.WriteFile(path+".part", text, 0o644); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if err := os.Rename(path+".part", path); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// WriteHTML writes a run's report with plots over time and all figures.
func WriteHTML(path string, r *Result) error {
	p := Page{
		Title:   "roost-bench " + r.Scenario,
		Lines:   []string{r.Target.Text(), r.Started.Format(time.RFC1123) + ", " + Duration(r.Wall)},
		Verdict: verdictWords[r.Exit()], Held: r.Exit() == ExitOK,
	}
	p.Sections = append(p.Sections, r.Section(""))
	if r.Baseline != nil {
		p.Sections = append(p.Sections, Section{Title: "Against " + r.Baseline.File, Table: r.Baseline.table()})
	}
	p.Sections = append(p.Sections, Section{Title: "All figures", Table: r.metricTable()})
	return p.Write(path)
}

// verdictWords say what an exit code means.
var verdictWords = map[int]string{
	ExitOK: "held", ExitThreshold: "a threshold did not hold", ExitEarly: "ended before its time",
	ExitSaturated: "invalid: the generator was the bottleneck",
}

// Section returns the plots and the table of a run.
func (r *Result) Section(title string) Section {
	var text strings.Builder
	r.WriteTable(&text)
	s := Section{Title: title, Text: strings.TrimSpace(text.String())}
	for _, p := range r.plots() {
		if svg := p.svg(); svg != "" {
			s.Plots = append(s.Plots, template.HTML(svg)) // plot escapes every text
		}
	}
	return s
}

// plots are the pictures of a run: rate, latency, connections, and the server.
func (r *Result) plots() []plot {
	newLine := func(i int, name string) line { return line{name: name, color: palette[i]} }
	messages, upgrades := newLine(0, "messages"), newLine(1, "upgrades")
	errors := newLine(2, "errors")
	open := newLine(0, "open")
	percentiles := []line{newLine(0, "p50"), newLine(4, "p90"), newLine(1, "p99"), newLine(3, "p99.9"), newLine(2, "max")}
	cpu, rss := newLine(0, "CPU"), newLine(0, "RSS")
	before := time.Duration(0)
	for _, s := range r.Seconds {
		seconds := (s.At - before).Seconds()
		before = s.At
		if seconds <= 0 {
			continue
		}
		messages.add(s.At, float64(s.Received)/seconds)
		upgrades.add(s.At, float64(s.Opened)/seconds)
		errors.add(s.At, float64(s.Errors+s.Ended)/seconds)
		open.add(s.At, float64(s.Open))
		for i, d := range []time.Duration{s.P50, s.P90, s.P99, s.P999, s.Max} {
			percentiles[i].add(s.At, orGap(float64(d)))
		}
		cpu.add(s.At, orGap(s.ServerCPU.Seconds()/seconds))
		rss.add(s.At, orGap(float64(s.ServerRSS)))
	}
	bands := r.bands()
	count := func(v float64) string { return Metric{Value: v, Unit: Count}.Text() }
	rate := []line{messages, upgrades}
	if r.Total.ErrorCount()+r.Total.Get(tally.Ended) > 0 {
		rate = append(rate, errors)
	}
	return []plot{
		{title: "Rate, a second", text: count, lines: rate, bands: bands},
		{title: "Latency of what each phase measures", log: true, text: func(v float64) string { return Duration(time.Duration(v)) }, lines: percentiles, bands: bands},
		{title: "Connections", text: count, lines: []line{open}, bands: bands},
		{title: "Server CPU, cores", text: func(v float64) string { return fmt.Sprintf("%.2f", v) }, lines: []line{cpu}, bands: bands},
		{title: "Server memory, resident", text: Size, lines: []line{rss}, bands: bands},
	}
}

// orGap makes what was not measured a gap.
func orGap(v float64) float64 {
	if v == 0 {
		return math.NaN()
	}
	return v
}

// bands are the phases, one after the other.
func (r *Result) bands() (all []band) {
	at := time.Duration(0)
	for _, p := range r.Phases {
		all = append(all, band{name: string(p.Kind), from: at, to: at + p.Wall})
		at += p.Wall
	}
	return all
}

func (r *Result) metricTable() *Table {
	t := &Table{Head: []string{"figure", "value", "exactly"}}
	for _, m := range r.Metrics {
		t.Rows = append(t.Rows, TableRow{Cells: []string{m.Name, m.Text(), fmt.Sprintf("%g %s", m.Value, m.Unit)}})
	}
	return t
}

func (b *Baseline) table() *Table {
	t := &Table{Head: []string{"figure", "then", "now", "ratio"}}
	for _, ratio := range b.Ratios {
		if ratio.Telling() {
			t.Rows = append(t.Rows, TableRow{Cells: []string{ratio.Name,
				Metric{Value: ratio.Old, Unit: ratio.Unit}.Text(), Metric{Value: ratio.New, Unit: ratio.Unit}.Text(), ratio.Text()}})
		}
	}
	return t
}

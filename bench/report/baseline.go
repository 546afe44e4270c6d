package report

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"
)

// Baseline is an older run's figures beside this one's.
type Baseline struct {
	File    string    `json:"file"`
	Started time.Time `json:"started"`
	Ratios  []Ratio   `json:"ratios"`
}

// Ratio is one figure of both runs.
type Ratio struct {
	Name  string  `json:"name"`
	Unit  Unit    `json:"unit"`
	Old   float64 `json:"old"`
	New   float64 `json:"new"`
	Ratio float64 `json:"ratio,omitempty"` // new / old; 0: old is 0
}

// ReadBaseline reads what WriteJSON wrote about a run.
func ReadBaseline(path string) (*Result, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the baseline cannot be read: %w", err)
	}
	var old Result
	if err := json.Unmarshal(text, &old); err != nil {
		return nil, fmt.Errorf("the baseline %s is no report of roost-bench --json: %w", path, err)
	}
	if len(old.Metrics) == 0 {
		return nil, fmt.Errorf("the baseline %s has no metrics: it is no report of roost-bench --json", path)
	}
	return &old, nil
}

// Compare puts an older run beside this one. Figures that only one of them has are
// left out.
func (r *Result) Compare(path string, old *Result) {
	r.Baseline = &Baseline{File: path, Started: old.Started}
	before := map[string]float64{}
	for _, m := range old.Metrics {
		before[m.Name] = m.Value
	}
	seen := map[string]bool{}
	for _, m := range r.Metrics {
		was, ok := before[m.Name]
		if !ok || seen[m.Name] {
			continue
		}
		seen[m.Name] = true
		ratio := Ratio{Name: m.Name, Unit: m.Unit, Old: was, New: m.Value}
		if was != 0 {
			ratio.Ratio = m.Value / was
		}
		r.Baseline.Ratios = append(r.Baseline.Ratios, ratio)
	}
}

// Telling says whether a ratio is worth a line: figures that are 0 in both runs are not.
func (r Ratio) Telling() bool { return r.Old != 0 || r.New != 0 }

// Text writes the ratio as people read it.
func (r Ratio) Text() string {
	if r.Old == 0 {
		return "new"
	}
	return fmt.Sprintf("%.3f", r.Ratio)
}

func (r *Result) writeBaseline(w io.Writer) {
	if r.Baseline == nil {
		return
	}
	fmt.Fprintf(w, "\n  %-42s%14s%14s%9s\n", "against "+r.Baseline.File, "then", "now", "ratio")
	for _, ratio := range r.Baseline.Ratios {
		if ratio.Telling() {
			fmt.Fprintf(w, "  %-42s%14s%14s%9s\n", ratio.Name,
				Metric{Value: ratio.Old, Unit: ratio.Unit}.Text(), Metric{Value: ratio.New, Unit: ratio.Unit}.Text(), ratio.Text())
		}
	}
}

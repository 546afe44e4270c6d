package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/roostpush/roost/bench/generator"
	"github.com/roostpush/roost/bench/hostinfo"
	"github.com/roostpush/roost/bench/tally"
	"github.com/roostpush/roost/bench/target"
)

// The exit codes of roost-bench. They are documented in its --help and do not change.
const (
	ExitOK        = 0 // ran, every threshold held
	ExitUsage     = 1 // the command line, or this machine, does not allow the run
	ExitTarget    = 2 // the target cannot be reached or is not a WebSocket server
	ExitThreshold = 3 // a threshold did not hold
	ExitSaturated = 4 // the generator was the bottleneck: the figures are not the server's
	ExitEarly     = 5 // ended before its time; the results so far are written
)

// Result is everything a run found out. Run makes it; afterwards it is read only.
type Result struct {
	Scenario   string        `json:"scenario"`
	Target     target.Spec   `json:"target"` // redacted
	API        string        `json:"api,omitempty"`
	Started    time.Time     `json:"started"`
	Wall       time.Duration `json:"wall_ns"`
	Processes  int           `json:"processes"`
	Loops      int           `json:"loops"` // in each process
	Phases     []Phase       `json:"phases"`
	Seconds    []Second      `json:"seconds"` // over time, for plots
	Steps      []Step        `json:"steps,omitempty"`
	Total      *tally.Tally  `json:"total"`
	Generator  Generator     `json:"generator"`
	Metrics    []Metric      `json:"metrics"`
	Thresholds []Verdict     `json:"thresholds"`
	Early      string        `json:"early,omitempty"`     // why it ended before its time
	Saturated  []string      `json:"saturated,omitempty"` // why its figures are not valid
	Baseline   *Baseline     `json:"baseline,omitempty"`  // an older run beside this one
}

// Phase is one step of the run.
type Phase struct {
	generator.Phase
	Wall         time.Duration     `json:"wall_ns"`
	Open         int64             `json:"open"` // connections at its end
	Tally        *tally.Tally      `json:"tally"`
	BusiestLoop  float64           `json:"busiest_loop"`            // CPU of its busiest loop's thread, 1 = a core
	ServerBefore *hostinfo.Process `json:"server_before,omitempty"` // with --server-pid
	ServerAfter  *hostinfo.Process `json:"server_after,omitempty"`
	Back         time.Duration     `json:"back_ns,omitempty"` // cycle: from its beginning until the last connection was back
}

// Step is one load that a ramp tried.
type Step struct {
	PerSecond float64  `json:"per_second"`
	Held      bool     `json:"held"`
	Broken    []string `json:"broken,omitempty"`    // the thresholds that did not hold, with what was measured
	Saturated []string `json:"saturated,omitempty"` // why the generator, not the server, was the limit
	Ended     int64    `json:"ended,omitempty"`     // connections that the server ended; they were opened again for the next step
}

// Second is what about one second looked like.
type Second struct {
	At        time.Duration `json:"at_ns"` // since the start
	Phase     string        `json:"phase"`
	Open      int64         `json:"open"`
	Opened    int64         `json:"opened"`
	Received  int64         `json:"received"`
	Proved    int64         `json:"proved"`
	Errors    int64         `json:"errors"`
	Ended     int64         `json:"ended"`
	P50       time.Duration `json:"p50_ns"` // of what the phase measures
	P90       time.Duration `json:"p90_ns"`
	P99       time.Duration `json:"p99_ns"`
	P999      time.Duration `json:"p999_ns"`
	Max       time.Duration `json:"max_ns"`
	ServerRSS int64         `json:"server_rss_bytes,omitempty"`
	ServerCPU time.Duration `json:"server_cpu_ns,omitempty"`
}

// Generator says how the load tester itself fared.
type Generator struct {
	BusiestLoop float64       `json:"busiest_loop"` // CPU share of the busiest loop in a measured phase
	LateShare   float64       `json:"late_share"`   // paced starts later than the bound
	BeatShare   float64       `json:"beat_share"`   // heartbeats later than the bound
	LateBound   time.Duration `json:"late_bound_ns"`
	RSSBytes    int64         `json:"rss_bytes"` // of all processes, at their largest
}

// Exit returns the exit code. An invalid run is never a result: saturation hides a
// threshold, which it makes meaningless.
func (r *Result) Exit() int {
	switch {
	case len(r.Saturated) > 0:
		return ExitSaturated
	case r.Early != "":
		return ExitEarly
	}
	for _, v := range r.Thresholds {
		if !v.Held {
			return ExitThreshold
		}
	}
	return ExitOK
}

// Writable says why a report could not be written to a file, before there is one: whoever
// has measured for hours must not learn then that the path was wrong. It makes the folder,
// and leaves what the file has. No path is no report: nil.
func Writable(path string) error {
	if path == "" {
		return nil
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return fmt.Errorf("report: %s is a folder, not a file to write", path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	// What writeWhole makes first, so the same rights are asked for.
	file, err := os.Create(path + ".part")
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return errors.Join(file.Close(), os.Remove(file.Name()))
}

// WriteJSON writes v to a file, making its folder, whole or not at all.
func WriteJSON(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return writeWhole(path, append(text, '\n'))
}

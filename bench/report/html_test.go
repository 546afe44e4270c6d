package report

import (
	"bytes"
	"encoding/json"
	"image/png"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/roostpush/roost/bench/generator"
)

// overTime is sample with a course over time: ten seconds of echoes and a wait.
func overTime() *Result {
	r := sample()
	r.Target.URL = "ws://example.test/<script>alert(1)</script>"
	r.Phases[0].Wall = 10 * time.Second
	r.Phases = append(r.Phases, Phase{Phase: generator.Phase{Kind: generator.Wait}, Wall: 2 * time.Second, Tally: r.Total})
	for i := range 12 {
		s := Second{At: time.Duration(i+1) * time.Second, Phase: "echo", Open: int64(i), Received: 100}
		if i < 10 {
			s.P50, s.P90, s.P99, s.P999, s.Max = time.Millisecond, 2*time.Millisecond, 20*time.Millisecond, 50*time.Millisecond, 900*time.Millisecond
		}
		r.Seconds = append(r.Seconds, s)
	}
	return r
}

func writeSample(t *testing.T) (path, text string) {
	r := overTime()
	old := sample()
	old.Metrics[0].Value = 22
	r.Compare("old.json", old)
	path = filepath.Join(t.TempDir(), "sub", "report.html")
	if err := WriteHTML(path, r); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, string(b)
}

func TestHTMLIsSelfContained(t *testing.T) {
	_, text := writeSample(t)
	for _, outside := range []string{"http://", "https://", "src=", "href=", "@import", "url(", "<script"} {
		if strings.Contains(text, outside) {
			t.Errorf("the page has %q", outside)
		}
	}
	for _, says := range []string{
		"<svg", "Rate, a second", "Latency of what each phase measures", "p99.9", "Connections", ">1.00 s<", ">1.00 ms<", ">held<",
		"&lt;script&gt;", "echo.p99", "Against old.json", "1 lost", "attempted",
	} {
		if !strings.Contains(text, says) {
			t.Errorf("the page does not have %q", says)
		}
	}
	if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
		t.Error("a plot has a value that is none")
	}
	if strings.Contains(text, "Server CPU") {
		t.Error("there is a plot of what was not measured")
	}
}

// Every line of a plot stays inside its frame.
func TestPlotsStayInside(t *testing.T) {
	coordinates := regexp.MustCompile(`[ML](-?[0-9.]+) (-?[0-9.]+)`)
	for name, values := range map[string][]float64{
		"one value": {5}, "zero": {0, 0, 0}, "gap": {1, math.NaN(), 1e9}, "tiny": {1e-9, 2e-9}, "many": make([]float64, 5000),
	} {
		for _, logarithmic := range []bool{false, true} {
			l := line{name: "l", color: "#000"}
			for i, v := range values {
				l.add(time.Duration(i+1)*time.Second, v)
			}
			svg := plot{title: name, log: logarithmic, text: func(v float64) string { return "" }, lines: []line{l}}.svg()
			points := coordinates.FindAllStringSubmatch(svg, -1)
			if !logarithmic && len(points) == 0 {
				t.Errorf("%s: nothing is drawn", name)
			}
			if len(points) > plotPointsMax {
				t.Errorf("%s: %d points", name, len(points))
			}
			for _, p := range points {
				var x, y float64
				if json.Unmarshal([]byte(p[1]), &x) != nil || json.Unmarshal([]byte(p[2]), &y) != nil ||
					x < plotLeft || x > plotWidth-plotRight+0.1 || y < plotTop-0.1 || y > plotHeight-plotBottom+0.1 {
					t.Fatalf("%s, log %v: point %s", name, logarithmic, p[0])
				}
			}
		}
	}
}

func TestAPeakSurvivesThinning(t *testing.T) {
	l := line{}
	for i := range 10_000 {
		l.add(time.Duration(i), 1)
	}
	l.values[7777] = 99
	thin := l.thin()
	top := 0.0
	for _, v := range thin.values {
		top = max(top, v)
	}
	if len(thin.at) > plotPointsMax || top != 99 {
		t.Errorf("%d points, largest %v", len(thin.at), top)
	}
}

func TestBaseline(t *testing.T) {
	path := filepath.Join(t.TempDir(), "old.json")
	old := sample()
	for i := range old.Metrics {
		if old.Metrics[i].Name == "sent" {
			old.Metrics[i].Value = 500
		}
	}
	if err := WriteJSON(path, old); err != nil {
		t.Fatal(err)
	}
	read, err := ReadBaseline(path)
	if err != nil {
		t.Fatal(err)
	}
	r := sample()
	r.AddMetric("only.now", 1, Count)
	r.Compare(path, read)
	ratios := map[string]Ratio{}
	for _, ratio := range r.Baseline.Ratios {
		ratios[ratio.Name] = ratio
	}
	if ratios["sent"].Ratio != 2 || ratios["lost"].Ratio != 1 || ratios["duplicated"].Telling() {
		t.Errorf("%+v", ratios)
	}
	if _, there := ratios["only.now"]; there {
		t.Error("a figure without a partner is compared")
	}
	var table bytes.Buffer
	r.WriteTable(&table)
	if !strings.Contains(table.String(), "2.000") {
		t.Errorf("no ratio in:\n%s", table.String())
	}
	for name, text := range map[string]string{"no JSON": "hello", "another JSON": `{"a":1}`} {
		other := filepath.Join(t.TempDir(), "x.json")
		if err := os.WriteFile(other, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadBaseline(other); err == nil || !strings.Contains(err.Error(), "no report") {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if _, err := ReadBaseline("/no/such/file"); err == nil {
		t.Error("a missing baseline is taken")
	}
}

// The page shows its plots in a browser that has no network.
func TestHTMLInChromium(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil || testing.Short() {
		t.Skip("needs chromium")
	}
	path, _ := writeSample(t)
	shot := filepath.Join(t.TempDir(), "page.png")
	cmd := exec.CommandContext(t.Context(), chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
		"--host-resolver-rules=MAP * ~NOTFOUND", "--user-data-dir="+t.TempDir(), "--window-size=1000,1400", "--screenshot="+shot, "file://"+path)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("chromium: %v\n%s", err, out)
	}
	f, err := os.Open(shot)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	picture, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	// The lines' colours are nowhere else on the page.
	seen := map[string]int{}
	for y := range picture.Bounds().Dy() {
		for x := range picture.Bounds().Dx() {
			r, g, b, _ := picture.At(x, y).RGBA()
			switch {
			case r>>8 == 0x1b && g>>8 == 0x6c && b>>8 == 0xa8:
				seen["blue"]++
			case r>>8 == 0xe0 && g>>8 == 0x7b && b>>8 == 0x00:
				seen["orange"]++
			}
		}
	}
	if seen["blue"] < 200 || seen["orange"] < 200 {
		t.Errorf("the plots are not there: %v", seen)
	}
}

//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/roostpush/roost/bench/compare"
	"github.com/roostpush/roost/bench/report"
)

// TestCompare compares servers that run already; package compare tests those that it
// starts.
func TestCompare(t *testing.T) {
	good, bad := echoServer(t, false), echoServer(t, true)
	short := []string{"--duration=200ms", "--connections=3", "--timeout=300ms", "--rounds=2"}
	file := filepath.Join(t.TempDir(), "c.json")
	for _, c := range []struct {
		name string
		args []string
		want int
		says string
	}{
		{"help", []string{"compare", "--help"}, report.ExitOK, "ratio(roost/gws)"},
		{"help of echo", []string{"compare", "echo", "--help"}, report.ExitOK, "--server-cpu"},
		{"without a target", []string{"compare", "echo"}, report.ExitUsage, "--target"},
		{"one target", []string{"compare", "echo", "--target=a=" + good}, report.ExitUsage, "two targets"},
		{"not a target", []string{"compare", "echo", "--target=a"}, report.ExitUsage, "NAME="},
		{"not a threshold", []string{"compare", "echo", "--target=a=" + good, "--target=b=" + good, "--fail=lost==0"}, report.ExitUsage, "ratio(A/B)"},
		{"nobody there", append([]string{"compare", "echo", "--target=a=ws://127.0.0.1:1/", "--target=b=" + good}, short...), report.ExitTarget, "target a: "},
		{"good", append([]string{"compare", "echo", "--target=a=" + good, "--target=b=" + good, "--json=" + file}, short...), report.ExitOK, "a/it rate"},
		{"loses", append([]string{"compare", "echo", "--target=a=" + good, "--target=b=" + bad}, short...), report.ExitThreshold, "WRONG   b, round 1: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			if code := run(c.args, &out, &out); code != c.want {
				t.Errorf("exit %d, want %d", code, c.want)
			}
			if !strings.Contains(out.String(), c.says) {
				t.Errorf("%q is missing in:\n%s", c.says, out.String())
			}
		})
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r compare.Result
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	if s, ok := r.Ratio("a", "b", compare.Rate); !ok || len(s.Values) != 2 || len(r.Ratios) == 0 {
		t.Errorf("%+v of %d ratios", s, len(r.Ratios))
	}
}

func TestEchoServerProfileWhereNoFileCanBe(t *testing.T) {
	var out bytes.Buffer
	code := run([]string{"echo-server", "--listen=127.0.0.1:0", "--cpuprofile=/no/such/folder/cpu"}, &out, &out)
	if code != report.ExitUsage || !strings.Contains(out.String(), "/no/such/folder/cpu") {
		t.Errorf("exit %d: %s", code, out.String())
	}
}

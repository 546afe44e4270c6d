//go:build linux

package experiment

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/roostpush/roost/bench/hostinfo"
	"github.com/roostpush/roost/bench/report"
	"github.com/roostpush/roost/bench/tally"
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "roost-experiment-")
	if err != nil {
		panic(err)
	}
	built = filepath.Join(dir, "roost")
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// built is where the server's program goes.
var built string

// build builds the real server, once; the experiments are about nothing else.
var build = sync.OnceValues(func() ([]byte, error) {
	return exec.Command("go", "build", "-o", built, "github.com/roostpush/roost/cmd/roost").CombinedOutput()
})

func buildRoost(t *testing.T) string {
	if testing.Short() {
		t.Skip("builds and starts a server")
	}
	if out, err := build(); err != nil {
		t.Fatalf("build roost: %v\n%s", err, out)
	}
	return built
}

func TestCrashOfARealNode(t *testing.T) {
	b := DefaultBlow(buildRoost(t))
	b.PerSecond, b.After, b.ReadyMax = 500, time.Second, readyWait // how fast is for the command, not for a test
	r, err := Crash(context.Background(), b, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Confirmed < 10 || r.Settled == 0 || r.Recorded < r.Settled {
		t.Errorf("confirmed %d, settled %d, recorded %d", r.Confirmed, r.Settled, r.Recorded)
	}
	if len(r.StillOpen) > 0 {
		t.Errorf("claim an open session: %v", r.StillOpen)
	}
}

func TestIdleSlopeOfARealNode(t *testing.T) {
	s := DefaultSlope(buildRoost(t))
	s.Low, s.High, s.Quiet, s.PerSecond = 100, 400, 200*time.Millisecond, 1000
	r, err := IdleSlope(context.Background(), s, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Low.Devices != 100 || r.High.Devices != 400 || r.Alive != 400 {
		t.Errorf("%d and %d devices, %d alive", r.Low.Devices, r.High.Devices, r.Alive)
	}
	if r.Low.RSSBytes < 1<<20 || r.High.HeapLive <= 0 || r.High.Kernel.SlabBytes <= r.Low.Kernel.SlabBytes/2 {
		t.Errorf("implausible readings: %+v, %+v", r.Low, r.High)
	}
}

func TestNodeThatDoesNotStartSaysWhy(t *testing.T) {
	program := buildRoost(t)
	_, err := StartNode(context.Background(), program, t.TempDir(), "--no-such-flag")
	if err == nil || !strings.Contains(err.Error(), "no-such-flag") {
		t.Errorf("error %v", err)
	}
}

func TestSlopeArithmetic(t *testing.T) {
	low := Plateau{Devices: 1000, RSSBytes: 10_000_000, HeapLive: 1_000_000, Kernel: hostinfo.Kernel{SlabBytes: 0, SocketBytes: 500_000}}
	high := Plateau{Devices: 3000, RSSBytes: 11_000_000, HeapLive: 1_600_000, Kernel: hostinfo.Kernel{SlabBytes: 20_000_000, SocketBytes: 16_500_000}}
	run := &report.Result{Total: &tally.Tally{}}
	run.Total.Add(tally.Proved, 3000)
	r := slope(Slope{BytesMax: 500}, low, high, run)
	if r.RSS != 500 || r.HeapLive != 300 || r.KernelSlab != 5000 || r.KernelSocket != 4000 {
		t.Errorf("%+v", r)
	}
	if !r.Held() {
		t.Error("500 of 500 bytes does not hold")
	}
	if r.Alive--; r.Held() {
		t.Error("holds although a device is dead")
	}
	if r.Alive, r.BytesMax = 3000, 499; r.Held() {
		t.Error("500 of 499 bytes holds")
	}
}

// A restarted server that lies in each way is caught.
func TestInspectFindsEachViolation(t *testing.T) {
	for _, c := range []struct {
		name   string
		device string // what the server says of device 1; empty: nothing
		ageMS  int64
		open   int
		old    int
		recent int
		held   bool
	}{
		{"closed", `{"device":"dev-1","online":false,"closed_ms":5}`, 500, 0, 0, 0, true},
		{"online", `{"device":"dev-1","online":true}`, 500, 1, 0, 0, false},
		{"not closed", `{"device":"dev-1","online":false}`, 500, 1, 0, 0, false},
		{"missing and old", ``, 101, 0, 1, 0, false},
		{"another device", `{"device":"dev-2","closed_ms":5}`, 101, 0, 1, 0, false},
		{"missing and young", ``, 99, 0, 0, 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				device := c.device
				if r.URL.Path == "/v1/accounts/acc-7/devices" { // an honest one, so that something is settled
					device = `{"device":"dev-7","closed_ms":5}`
				}
				_, _ = fmt.Fprintf(w, `{"devices":[%s]}`, device)
			}))
			defer server.Close()
			node := &Node{Internal: server.Listener.Addr().String(), client: server.Client()}
			killed := int64(10 * time.Second)
			r := &CrashResult{LossWindow: 100 * time.Millisecond, ReadyMax: time.Second}
			opened := map[int64]int64{1: killed - c.ageMS*1e6, 7: killed - 1e9, 9: killed + 1}
			if err := inspect(context.Background(), node, opened, killed, r); err != nil {
				t.Fatal(err)
			}
			if r.Confirmed != 2 || len(r.StillOpen) != c.open || len(r.LostOld) != c.old || r.LostRecent != c.recent || r.Held() != c.held {
				text, _ := json.Marshal(r)
				t.Errorf("held %v: %s", r.Held(), text)
			}
		})
	}
}

func TestInspectDoesNotTakeAnErrorForAnAnswer(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(503) }))
	defer server.Close()
	node := &Node{Internal: server.Listener.Addr().String(), client: server.Client()}
	if err := inspect(context.Background(), node, map[int64]int64{1: 0}, 1, &CrashResult{}); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("error %v", err)
	}
}

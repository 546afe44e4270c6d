package disruption

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// TestMain is a worker process too, as roost-bench disrupt worker is.
func TestMain(m *testing.M) {
	if os.Getenv(workerVariable) != "" {
		if err := Work(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const workerVariable = "ROOST_DISRUPTION_WORKER"

// judgedCluster pushes through a fake cluster for a while and returns the verdict.
func judgedCluster(t *testing.T, lie lie, do func(*run) error) *Result {
	t.Helper()
	r, err := fakeSettings(t, 2, lie).carryOut(context.Background(), "test", do)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// fakeSettings are a load on a fake cluster to which nobody does anything, whatever is
// ordered. The load is open: a machine that cannot carry it falls ever further behind, until
// answers take longer than answerMax; so it is a tenth of what a third of a core carries under
// the race detector: the slowest machine has no more, with other packages' tests beside it.
func fakeSettings(t *testing.T, nodes int, lie lie) Settings {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Settings{
		Nodes: startFakes(t, nodes, lie), Token: fakeToken, Control: []string{"true"},
		Worker: []string{"env", workerVariable + "=yes", self}, Workers: 2, Devices: 20, PerSecond: perSecond, Moves: 1,
		Known: time.Millisecond, Arrival: 10 * time.Second, // the fake's nodes know at once
	}
}

const perSecond = 10 // pushes, and as many proofs

// steady is two seconds of load in which nothing happens, and a proof.
func steady(r *run) error {
	r.order(Order{Phase: "steady"})
	if err := r.wait(2 * time.Second); err != nil {
		return err
	}
	return r.prove(Plan{Proofs: 20, Rate: perSecond}, "proof")
}

func text(r *Result) string {
	var b bytes.Buffer
	r.WriteText(&b)
	return b.String()
}

func TestAnHonestClusterHolds(t *testing.T) {
	t.Parallel()
	r := judgedCluster(t, nil, steady)
	if !r.Held() || !r.Valid() {
		t.Fatal(text(r))
	}
	n := r.Tally.Outcomes["steady"][Reachable]["written"]
	if n < perSecond || r.count(Reachable) != r.Tally.Taken || r.Proofs[0].Written != 20 {
		t.Fatalf("%d of some 20 pushes were to reachable devices:\n%s", n, text(r))
	}
}

// TestEveryLieIsFound has the fake cluster do one wrong thing, and wants exactly the
// verdicts that are about it.
func TestEveryLieIsFound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		lie  lie
		want []string // of the verdicts that must fail, in order
	}{
		{"another device gets it", func(p *fakePush) { p.to = p.other }, []string{"never arrived", "another device"}},
		{"it comes twice", func(p *fakePush) { p.copies = 2 }, []string{"came twice"}},
		{"it is swallowed", func(p *fakePush) { p.copies = 0 }, []string{"never arrived"}},
		{"offline, and not sent", func(p *fakePush) { p.copies, p.outcome = 0, "offline" }, []string{"were not written", "told that a device is offline"}},
		{"unreachable, and yet sent", func(p *fakePush) { p.outcome = "unreachable" }, []string{"were not written", "their outcome says that they did not"}},
		{"no outcome", func(p *fakePush) { p.outcome = "" }, []string{"outcomes returned", "were not written"}},
		{"a wrong outcome", func(p *fakePush) { p.outcome = "lost" }, []string{"were not written"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := judgedCluster(t, func(p *fakePush) {
				if p.number%4 == 3 {
					c.lie(p)
				}
			}, func(r *run) error {
				r.order(Order{Phase: "steady"})
				return r.wait(2 * time.Second)
			})
			var failed []string
			for _, v := range r.Verdicts {
				if !v.Held {
					failed = append(failed, v.Text)
				}
			}
			ok := len(failed) == len(c.want)
			for i, want := range c.want {
				ok = ok && strings.Contains(failed[i], want)
			}
			if !ok {
				t.Errorf("failed: %q\nwant:   %q\n%s", failed, c.want, text(r))
			}
		})
	}
}

// TestAProofCountsWhatIsWritten has a few pushes of a proof, and of the load beside it, not
// be written.
func TestAProofCountsWhatIsWritten(t *testing.T) {
	t.Parallel()
	r := judgedCluster(t, func(p *fakePush) {
		if p.total > 30 && p.total <= 50 {
			p.copies, p.outcome = 0, "unreachable"
		}
	}, func(r *run) error {
		r.order(Order{Phase: "steady"})
		return r.prove(Plan{Proofs: 60, Rate: 2 * perSecond}, "proof")
	})
	if missing := r.Tally.Proofs["proof"]["unreachable"]; missing == 0 || r.Proofs[0].Written != 60-missing || r.Held() {
		t.Fatal(text(r))
	}
}

var shortPlan = Plan{Steady: 300 * time.Millisecond, Killed: 300 * time.Millisecond, Cut: 3 * time.Second, Recover: 300 * time.Millisecond, Proofs: 20, Rate: perSecond}

// TestACutThatDoesNotCutIsFound carries out a partition that the control program only
// claims: what is written to the other side gives it away.
func TestACutThatDoesNotCutIsFound(t *testing.T) {
	t.Parallel()
	r, err := shortPlan.Partition(context.Background(), fakeSettings(t, 5, nil))
	if err != nil {
		t.Fatal(err)
	}
	if r.Tally.Impossible == 0 || r.Tally.Outcomes["cut"][Apart]["written"] != r.Tally.Impossible || r.Held() {
		t.Error(text(r))
	}
	for _, v := range r.Verdicts {
		if !v.Held && !strings.Contains(v.Text, "could not be reached") {
			t.Errorf("failed: %s", v.Text)
		}
	}
}

func TestRollingGoesRound(t *testing.T) {
	t.Parallel()
	r, err := shortPlan.Rolling(context.Background(), fakeSettings(t, 3, nil))
	if err != nil {
		t.Fatal(err)
	}
	want := "connect, before, n1 restarts, n1 is back, n2 restarts, n2 is back, n3 restarts, n3 is back, at the end"
	if got := strings.Join(r.Phases, ", "); got != want || !r.Held() {
		t.Errorf("%s\n%s", got, text(r))
	}
}

func TestWhatCannotBeDoneSaysWhy(t *testing.T) {
	five := Settings{Nodes: make([]Node, 5), Devices: 10, Workers: 1, PerSecond: 1}
	for _, c := range []struct {
		name   string
		change func(*Settings)
		do     func(Plan, context.Context, Settings) (*Result, error)
		want   string
	}{
		{"four nodes", func(s *Settings) { s.Nodes = s.Nodes[:4] }, Plan.Partition, "4 nodes are too few: two are cut off from two others, and one is killed"},
		{"one node", func(s *Settings) { s.Nodes = s.Nodes[:1] }, Plan.Rolling, "1 nodes are too few: devices must have somewhere to go"},
		{"no devices", func(s *Settings) { s.Devices = 0 }, Plan.Rolling, "0 devices in 1 workers and 1 pushes a second make no load"},
		{"no worker", func(s *Settings) { s.Worker = []string{"/nowhere/worker"} }, Plan.Rolling, "no such file"},
		{"a worker that ends", func(s *Settings) { s.Worker = []string{"true"} }, Plan.Rolling, "a worker has ended"},
	} {
		s := five
		c.change(&s)
		if _, err := c.do(shortPlan, context.Background(), s); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	s := fakeSettings(t, 3, nil)
	s.Control = []string{"false"}
	if _, err := shortPlan.Rolling(context.Background(), s); err == nil || !strings.Contains(err.Error(), "[false stop 1]") {
		t.Errorf("a control program that fails: %v", err)
	}
}

func TestClassify(t *testing.T) {
	s := &session{}
	const at = int64(time.Hour)
	away := func(how time.Duration) func(*view) {
		return func(v *view) { v.session, v.sinceNS = nil, at-int64(how) }
	}
	at1 := view{session: s, changes: 1, way: Way{Joined, 1}}
	for _, c := range []struct {
		name       string
		begin, end func(*view)
		want       Class
	}{
		{"nothing happens", nil, nil, Reachable},
		{"parted throughout", func(v *view) { v.way = Way{Parted, 1} }, func(v *view) { v.way = Way{Parted, 1} }, Apart},
		{"parted at the end", nil, func(v *view) { v.way = Way{Parted, 2} }, Moving},
		{"parted meanwhile", nil, func(v *view) { v.way.Change = 3 }, Moving},
		{"ways change throughout", func(v *view) { v.way.Relation = Unsettled }, func(v *view) { v.way.Relation = Unsettled }, Moving},
		{"the session ends", nil, func(v *view) { v.session, v.changes = nil, 2 }, Moving},
		{"the session is new", func(v *view) { v.sinceNS = at - int64(knownDefault) + 1 }, nil, Moving},
		{"the session is old enough", func(v *view) { v.sinceNS = at - int64(knownDefault) }, nil, Reachable},
		{"an older one is open", func(v *view) { v.others = 1 }, nil, Moving},
		{"another is being opened", func(v *view) { v.dialing = 1 }, nil, Moving},
		{"there is none", away(gone), away(gone), Away},
		{"it has just ended", away(gone - 1), away(gone - 1), Moving},
	} {
		begin, end := at1, at1
		if c.begin != nil {
			c.begin(&begin)
		}
		if c.end != nil {
			c.end(&end)
		}
		if got := classify(begin, end, at, knownDefault); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestWorldKnowsWhoReachesWhom(t *testing.T) {
	w := newWorld(5)
	w.set([]int{0, 1}, []int{2, 3, 4}, Parted)
	if w.Pairs[0][1].Relation != Joined || w.Pairs[3][4].Relation != Joined {
		t.Error("nodes of one side are parted")
	}
	if w.Pairs[1][4].Relation != Parted || w.Pairs[4][1] != w.Pairs[1][4] {
		t.Error("nodes of two sides are joined")
	}
	seen := w.copy()
	w.set([]int{0, 1}, []int{2, 3, 4}, Joined)
	if seen.Pairs[1][4].Relation != Parted || w.Pairs[1][4].Change != 2 {
		t.Errorf("%+v, %+v", seen.Pairs[1][4], w.Pairs[1][4])
	}
	w.Down[3] = true
	if got := fmt.Sprint(w.up()); got != "[0 1 2 4]" {
		t.Error(got)
	}
}

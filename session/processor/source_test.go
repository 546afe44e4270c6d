package processor

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/roostpush/roost/session"
)

// TestComplaintsOncePerKind: the same kind is logged again only after a while, and a flood
// of kinds takes no more memory than its limit.
func TestComplaintsOncePerKind(t *testing.T) {
	var log bytes.Buffer
	now := time.Unix(1000, 0)
	c := NewComplaints(slog.New(slog.NewTextHandler(&log, nil)), time.Minute, func() time.Time { return now })
	count := func() int { return strings.Count(log.String(), "\n") }
	c.Complain("a", "one")
	c.Complain("b", "two", "why", 7)
	c.Complain("a", "three")
	now = now.Add(59 * time.Second)
	c.Complain("a", "four")
	if got := log.String(); count() != 2 || !strings.Contains(got, "msg=two why=7") || strings.Contains(got, "three") {
		t.Errorf("logged\n%s", got)
	}
	now = now.Add(time.Second)
	c.Complain("a", "five")
	if count() != 3 {
		t.Errorf("logged\n%s", &log)
	}
	for i := range 10 * complaintKindsMax {
		c.Complain(fmt.Sprint(i), "x")
	}
	if n := len(c.last); n > complaintKindsMax {
		t.Errorf("%d kinds are remembered", n)
	}
}

func TestProblems(t *testing.T) {
	p := Problems{Section: "kafka: "}
	p.Check(true, "fine")
	p.Count("n", 3, 3, 5)
	p.Duration("d", time.Second, time.Millisecond, time.Second)
	if p.Any() || p.Err() != nil {
		t.Fatal(p.Err())
	}
	p.Check(false, "%s is wrong", "x")
	p.Count("n", 6, 3, 5)
	p.Duration("d", 0, time.Millisecond, time.Second)
	want := "kafka: x is wrong\nkafka: n is 6: 3 to 5 are allowed\nkafka: d is 0s: 1ms to 1s are allowed"
	if got := p.Err(); !p.Any() || got.Error() != want {
		t.Errorf("%v, want\n%s", got, want)
	}
}

func TestResultCounters(t *testing.T) {
	var c ResultCounters
	var r Result
	r.Counts[session.Written], r.Counts[session.Offline], r.Repeated = 2, 1, true
	c.Count(&r)
	c.Count(&Result{Reject: new(Reject)})
	got := c.Outcomes()
	if got[session.Written] != 2 || got[session.Offline] != 1 || c.Repeated.Load() != 1 || c.Rejected.Load() != 1 {
		t.Errorf("%v, %d repeated, %d rejected", got, c.Repeated.Load(), c.Rejected.Load())
	}
}

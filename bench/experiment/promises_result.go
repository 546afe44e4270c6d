package experiment

import (
	"fmt"
	"io"
	"time"

	"github.com/roostpush/roost/bench/report"
)

// PledgeResult is what became of the pushes.
type PledgeResult struct {
	Accepted   int           `json:"accepted"`      // answered with 202 and an id
	Unanswered int           `json:"unanswered"`    // given to a node that was killed before it answered: they may come or not
	Refused    int           `json:"refused"`       // answered with an error: a limit, a node that leaves
	Why        string        `json:"why,omitempty"` // of one that was refused
	Kills      int           `json:"kills"`
	Delivered  int           `json:"delivered"` // of the accepted, arrived at least once
	Absent     int           `json:"absent"`    // accepted for devices that never connect
	Expired    int           `json:"expired"`   // of those, the node says expired
	Lost       []string      `json:"lost"`      // accepted, and neither arrived nor expired: a violation
	Twice      int           `json:"twice"`     // arrivals that were not the first, with the same id
	AfterAck   int           `json:"after_ack"` // of those, after the device had acknowledged it: the kill came before the removal was on disk
	OtherID    []string      `json:"other_id"`  // arrivals of one push under different ids: a violation
	Wrong      []string      `json:"wrong"`     // arrivals at a device that they were not for: a violation
	Wall       time.Duration `json:"wall_ns"`
	ReadyMost  time.Duration `json:"ready_most_ns"` // the longest restart
	Intended   int           `json:"intended_kills"`
}

// Held reports whether nothing that must be true was false.
func (r *PledgeResult) Held() bool {
	return r.Accepted > 0 && r.Kills >= r.Intended && len(r.Lost) == 0 && len(r.OtherID) == 0 && len(r.Wrong) == 0 &&
		r.Delivered+r.Absent == r.Accepted && r.Expired == r.Absent
}

// WriteText writes the figures as people read them.
func (r *PledgeResult) WriteText(w io.Writer) {
	fmt.Fprintf(w, "\n  %d pushes accepted over %d kills in %s; %d were given to a node that died before it answered; %d refused%s\n",
		r.Accepted, r.Kills, report.Duration(r.Wall), r.Unanswered, r.Refused, because(r.Why))
	fmt.Fprintf(w, "  delivered             %d\n", r.Delivered)
	fmt.Fprintf(w, "  expired               %d of %d whose device never connected\n", r.Expired, r.Absent)
	fmt.Fprintf(w, "  neither               %d%s\n", len(r.Lost), some(r.Lost))
	fmt.Fprintf(w, "  delivered again       %d with the same id, %d of them after their ack (allowed), %d with another id%s\n", r.Twice, r.AfterAck, len(r.OtherID), some(r.OtherID))
	fmt.Fprintf(w, "  at a wrong device     %d%s\n", len(r.Wrong), some(r.Wrong))
	fmt.Fprintf(w, "  longest restart       %s\n", report.Duration(r.ReadyMost))
	verdict := "ok"
	if !r.Held() {
		verdict = "FAILED"
	}
	fmt.Fprintf(w, "  %s\n", verdict)
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return " (" + why + ")"
}

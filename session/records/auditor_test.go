package records

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/roostpush/roost/session"
)

// auditWorld is a disk of records, three at a time, and a table.
type auditWorld struct {
	records []session.Fact
	table   map[string]bool // devices that are there
	waits   []time.Duration
	during  func(w *auditWorld) // of each wait
	ends    int                 // waits after which the node leaves; 0: never
	unread  int                 // reads that fail
	unknown int                 // looks into the table that fail
	full    int                 // notes that find no room
	closed  []string
	log     bytes.Buffer
	*Auditor
}

var (
	lossy  = session.Origin{Node: "n1", Epoch: 2}
	honest = session.Origin{Node: "n2", Epoch: 1}
)

func newAuditWorld() *auditWorld {
	w := &auditWorld{table: map[string]bool{"here": true}}
	w.records = []session.Fact{
		{Address: session.Address{Account: "a", Device: "gone1"}, Origin: lossy, OpenedMS: 900},
		{Address: session.Address{Account: "a", Device: "here"}, Origin: lossy},
		{Address: session.Address{Account: "a", Device: "closed"}, Origin: lossy, Closed: true},
		{Address: session.Address{Account: "b", Device: "honest"}, Origin: honest},
		{Address: session.Address{Account: "b", Device: "gone2"}, Origin: lossy, OpenedMS: 2000},
	}
	fail := func(n *int, what string) error {
		if *n == 0 {
			return nil
		}
		*n--
		return errors.New(what)
	}
	w.Auditor = NewAuditor(Config{HandOverFacts: 3, HandOverPause: time.Millisecond}, AuditPorts{
		Records: func(after []byte, n int) (list []session.Fact, next []byte, err error) {
			if err := fail(&w.unread, "disk on fire"); err != nil {
				return nil, nil, err
			}
			if after == nil {
				return append(list, w.records[:n]...), []byte{1}, nil
			}
			return append(list, w.records[n:]...), nil, nil
		},
		Gone: func(f *session.Fact) (bool, error) {
			return !w.table[f.Device], fail(&w.unknown, "the table lacks somebody")
		},
		Keep: func(f *session.Fact) bool {
			if fail(&w.full, "") != nil {
				return false
			}
			w.closed = append(w.closed, fmt.Sprint(f.Device, " ", f.ClosedMS, " ", f.CloseCode))
			for i := range w.records {
				if w.records[i].Address == f.Address {
					w.records[i] = *f
				}
			}
			return true
		},
		NowMS: func() int64 { return 1000 },
		Wait: func(d time.Duration) bool {
			w.waits = append(w.waits, d)
			if w.during != nil {
				w.during(w)
			}
			return w.ends == 0 || len(w.waits) < w.ends
		},
		Log: slog.New(slog.NewTextHandler(&w.log, nil)),
	})
	return w
}

// TestAudit closes what is open at the node that asked and not there, and nothing else.
func TestAudit(t *testing.T) {
	w := newAuditWorld()
	w.Add(lossy)
	if !w.audit() {
		t.Fatal("it ends")
	}
	if got := fmt.Sprint(w.closed); got != "[gone1 1000 1006 gone2 2000 1006]" || w.Stats().AuditClosed != 2 {
		t.Errorf("closed %s, %+v", got, w.Stats())
	}
	if got := fmt.Sprint(w.waits); got != "[1s 1ms 1s]" || w.log.Len() > 0 {
		t.Errorf("waits %s, log %s", got, &w.log)
	}
	if w.audit(); len(w.waits) != 3 {
		t.Error("nobody has asked, and the records are read again")
	}
}

// TestAuditAsksTwice: a device that has just come is not closed, as its entry is later than its fact.
func TestAuditAsksTwice(t *testing.T) {
	w := newAuditWorld()
	w.during = func(w *auditWorld) { w.table["gone1"] = true }
	w.Add(lossy)
	w.audit()
	if got := fmt.Sprint(w.closed); got != "[gone2 2000 1006]" {
		t.Errorf("closed %s", got)
	}
}

// TestAuditThatFails: it is done again, ever more seldom, until it gets through; that is
// logged once, and once when it is over.
func TestAuditThatFails(t *testing.T) {
	for name, tc := range map[string]struct {
		fails func(w *auditWorld)
		why   string
	}{
		"the disk":    {func(w *auditWorld) { w.unread = 8 }, "disk on fire"},
		"the table":   {func(w *auditWorld) { w.unknown = 8 }, "the table lacks somebody"},
		"the journal": {func(w *auditWorld) { w.full = 8 }, "no room"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newAuditWorld()
			tc.fails(w)
			w.Add(lossy)
			if !w.audit() {
				t.Fatal("it ends")
			}
			if got := fmt.Sprint(w.closed); got != "[gone1 1000 1006 gone2 2000 1006]" {
				t.Errorf("closed %s", got)
			}
			var pauses []time.Duration
			for i, d := range w.waits {
				if d != auditGrace || name != "the journal" && i < 8 || name == "the journal" && i < 16 && i%2 == 1 {
					pauses = append(pauses, d)
				}
			}
			if got := fmt.Sprint(pauses); got != "[1s 2s 4s 8s 16s 32s 1m0s 1m0s 1ms]" {
				t.Errorf("pauses %s of %v", got, w.waits)
			}
			log := w.log.String()
			if w.Stats().AuditsFailed != 8 || strings.Count(log, "level=WARN") != 1 || strings.Count(log, "level=INFO") != 1 || !strings.Contains(log, tc.why) {
				t.Errorf("%+v\n%s", w.Stats(), log)
			}
		})
	}
}

// TestAuditEnds: a node that leaves waits for nothing more.
func TestAuditEnds(t *testing.T) {
	for waits := 1; waits <= 3; waits++ {
		w := newAuditWorld()
		w.ends = waits
		w.Add(lossy)
		if w.audit() || len(w.waits) != waits {
			t.Errorf("it goes on after wait %d: %v", waits, w.waits)
		}
	}
	w := newAuditWorld()
	w.unread, w.ends = 1, 1
	w.Add(lossy)
	ended := make(chan struct{})
	w.Run(ended) // returns at the first pause
	if len(w.waits) != 1 {
		t.Errorf("waits %v", w.waits)
	}
	close(ended)
	newAuditWorld().Run(ended)
}

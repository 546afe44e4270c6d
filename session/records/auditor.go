package records

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roostpush/roost/session"
)

// Auditor closes records that are open at a node which does not hold the device, whenever such
// a node says that it has lost ends of its sessions: neither their homes nor it had room for
// them. It is to a home what the resync of the store is to a node's own records. Openings that
// were lost need no audit: the node notes all its sessions again.
//
// An audit that does not get through, since the disk fails or this node cannot tell who is where,
// is done again, ever more seldom, until one does.
type Auditor struct {
	cfg   Config
	ports AuditPorts

	wake chan struct{} // capacity 1

	mu    sync.Mutex
	nodes map[session.Origin]struct{} // whose records are to be looked at

	closed, failed atomic.Uint64 // see AuditStats
}

// AuditPorts are what an Auditor needs of the rest of the node. They are called by Run.
type AuditPorts struct {
	// Records returns the next n records after a key, nil for the first ones, and the key to go on
	// after, nil at the end. It may wait for the disk.
	Records func(after []byte, n int) (list []session.Fact, next []byte, err error)
	// Gone reports whether the device of an open record is not at the node that the record names.
	// An error says that this node cannot know now.
	Gone func(f *session.Fact) (bool, error)
	// Keep notes that a session is over; false: there is no room.
	Keep  func(f *session.Fact) bool
	NowMS func() int64               // Unix milliseconds
	Wait  func(d time.Duration) bool // false: the node leaves
	Log   *slog.Logger
}

// AuditStats is what became of audits.
type AuditStats struct {
	AuditClosed  uint64 `metric:"roost_keep_audit_closed_total" doc:"records closed because their node had lost the end of their session"`
	AuditsFailed uint64 `metric:"roost_keep_audits_failed_total" doc:"audits of the records that did not get through, because the disk failed or the table lacked nodes; each is done again"`
}

const (
	// auditGrace is how much later than the fact of an opening its entry may be in the table.
	auditGrace = time.Second
	// The pauses before an audit that failed is done again.
	auditPauseMin = time.Second
	auditPauseMax = time.Minute
	// closedAbnormally is the close code of a session of whose end nothing is known (RFC 6455
	// section 7.1.5).
	closedAbnormally = 1006
)

// errLeaves says that the node leaves.
var errLeaves = errors.New("records: the node leaves")

// NewAuditor returns one that nobody has asked for anything yet. cfg has been validated.
func NewAuditor(cfg Config, p AuditPorts) *Auditor {
	return &Auditor{cfg: cfg, ports: p, wake: make(chan struct{}, 1), nodes: map[session.Origin]struct{}{}}
}

// Add has the records of a node audited soon. Any goroutine may call it; it does not block.
func (a *Auditor) Add(o session.Origin) {
	a.mu.Lock()
	a.nodes[o] = struct{}{}
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

func (a *Auditor) take() map[session.Origin]struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	nodes := a.nodes
	a.nodes = map[session.Origin]struct{}{}
	return nodes
}

// Run audits until ended is closed, or Wait says that the node leaves.
func (a *Auditor) Run(ended <-chan struct{}) {
	for {
		select {
		case <-ended:
			return
		case <-a.wake:
		}
		if !a.audit() {
			return
		}
	}
}

// audit goes on until the records of all nodes that were added are audited; false: the node leaves.
func (a *Auditor) audit() bool {
	pause := time.Duration(0) // of the last attempt that failed
	for nodes := a.take(); len(nodes) > 0; nodes = a.take() {
		err := a.pass(nodes)
		switch {
		case err == nil:
			if pause > 0 {
				a.ports.Log.Info("records are audited again")
			}
			pause = 0
			continue
		case errors.Is(err, errLeaves):
			return false
		case pause == 0:
			a.ports.Log.Warn("records cannot be audited; it is tried again until they are", "error", err)
		}
		a.failed.Add(1)
		for o := range nodes {
			a.Add(o)
		}
		pause = min(max(2*pause, auditPauseMin), auditPauseMax)
		if !a.ports.Wait(pause) {
			return false
		}
	}
	return true
}

// pass looks at every record once. After an error some may be left that are to be closed.
func (a *Auditor) pass(nodes map[session.Origin]struct{}) (failed error) {
	for after := []byte(nil); ; {
		list, next, err := a.ports.Records(after, a.cfg.HandOverFacts)
		if err != nil {
			return fmt.Errorf("records: audit: %w", err)
		}
		gone, err := a.gone(nodes, list)
		failed = errors.Join(failed, err)
		if len(gone) > 0 {
			if !a.ports.Wait(auditGrace) {
				return errLeaves
			}
			gone, err = a.gone(nodes, gone)
			if err == nil {
				err = a.close(gone)
			}
			failed = errors.Join(failed, err)
		}
		if after = next; next == nil || failed != nil {
			return failed
		}
		if !a.ports.Wait(a.cfg.HandOverPause) {
			return errLeaves
		}
	}
}

// close notes that sessions are over.
func (a *Auditor) close(gone []session.Fact) error {
	for i := range gone {
		f := &gone[i]
		f.Closed, f.ClosedMS, f.CloseCode = true, max(a.ports.NowMS(), f.OpenedMS), closedAbnormally
		if !a.ports.Keep(f) {
			return errors.New("records: audit: the journal has no room for the end of a session")
		}
		a.closed.Add(1)
	}
	return nil
}

// gone returns the facts of sessions that are open at one of the nodes though the device is not
// there.
func (a *Auditor) gone(nodes map[session.Origin]struct{}, list []session.Fact) (gone []session.Fact, err error) {
	for i := range list {
		f := &list[i]
		if _, asked := nodes[f.Origin]; !asked || f.Closed {
			continue
		}
		switch is, err := a.ports.Gone(f); {
		case err != nil:
			return gone, err
		case is:
			gone = append(gone, *f)
		}
	}
	return gone, nil
}

// Stats returns the counters.
func (a *Auditor) Stats() AuditStats {
	return AuditStats{AuditClosed: a.closed.Load(), AuditsFailed: a.failed.Load()}
}

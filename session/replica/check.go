package replica

import (
	"fmt"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// seqMax is more changes than a log will ever have, and leaves room to count on.
const seqMax = 1 << 62

// check refuses what no correct node sends. Lengths that the codecs bound are bounded
// here again, so that this package is safe whoever calls it.
func (r *Replica) check(from string, message any) error {
	if from == r.self.Node {
		return fmt.Errorf("%w: it comes from this node", ErrMalformed)
	}
	switch m := message.(type) {
	case *wire.Delta:
		return r.checkDelta(m)
	case *wire.SnapshotChunk:
		return r.checkChunk(m)
	case *wire.Heads:
		if len(m.Heads) > r.cfg.AuthorsMax+1 {
			return fmt.Errorf("%w: %d heads, at most authors_max+1 = %d are taken", ErrMalformed, len(m.Heads), r.cfg.AuthorsMax+1)
		}
		for _, h := range m.Heads {
			if err := checkAuthor(h.Author); err != nil {
				return err
			}
			if h.Seq > seqMax {
				return fmt.Errorf("%w: a log of %d changes", ErrMalformed, h.Seq)
			}
		}
	case *wire.LogRequest:
		return checkAuthor(m.Author)
	case *wire.Question:
		if err := m.Name.Check(); err != nil {
			return fmt.Errorf("%w: question: %w", ErrMalformed, err)
		}
	case *wire.Answer:
		if m.Holding >= wire.HoldingCount {
			return fmt.Errorf("%w: answer: holding %d", ErrMalformed, m.Holding)
		}
	default:
		return fmt.Errorf("%w: a %T", ErrMalformed, message)
	}
	return nil
}

func checkAuthor(o session.Origin) error {
	if err := session.CheckNode(o.Node); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}

func (r *Replica) checkDelta(d *wire.Delta) error {
	if err := checkAuthor(d.Author); err != nil {
		return err
	}
	switch n := len(d.Changes); {
	case d.Author.Node == r.self.Node:
		return fmt.Errorf("%w: delta of this node's own log", ErrMalformed)
	case n == 0 || n > r.cfg.ChunkChanges:
		return fmt.Errorf("%w: delta of %d changes, 1 to chunk_changes = %d are taken", ErrMalformed, n, r.cfg.ChunkChanges)
	case d.First == 0 || d.First > seqMax:
		return fmt.Errorf("%w: delta begins at change %d", ErrMalformed, d.First)
	}
	return checkChanges(d.Changes, true)
}

func (r *Replica) checkChunk(c *wire.SnapshotChunk) error {
	if err := checkAuthor(c.Author); err != nil {
		return err
	}
	switch n := len(c.Changes); {
	case c.Author.Node == r.self.Node:
		return fmt.Errorf("%w: snapshot of this node's own set", ErrMalformed)
	case c.Seq > seqMax:
		return fmt.Errorf("%w: snapshot as it was after change %d", ErrMalformed, c.Seq)
	case n > r.cfg.ChunkChanges:
		return fmt.Errorf("%w: chunk of %d entries, at most chunk_changes = %d are taken", ErrMalformed, n, r.cfg.ChunkChanges)
	}
	return checkChanges(c.Changes, false)
}

func checkChanges(changes []wire.Change, closed bool) error {
	for i := range changes {
		c := &changes[i]
		if c.Version == 0 || c.Version > versionMax {
			return fmt.Errorf("%w: change of version %d, 1 to 2^46 are taken", ErrMalformed, c.Version)
		}
		if c.Closed && !closed {
			return fmt.Errorf("%w: a snapshot with a closed entry", ErrMalformed)
		}
	}
	return nil
}

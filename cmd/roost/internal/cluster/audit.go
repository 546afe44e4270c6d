package cluster

import (
	"fmt"
	"time"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/deliver"
	"github.com/roostpush/roost/session/records"
)

// newAuditor makes what audits the records of nodes that have lost ends of their sessions.
func (c *Cluster) newAuditor() *records.Auditor {
	return records.NewAuditor(c.settings.Keeping, records.AuditPorts{
		Records: c.allRecords, Gone: c.isGone, NowMS: c.nowMS, Log: c.log,
		Keep: func(f *session.Fact) bool { return c.node.Store.Keep(f) },
		Wait: func(d time.Duration) bool { return c.waitFor(d, nil) },
	})
}

// allRecords reads records of this node's disk, whoever is their home.
func (c *Cluster) allRecords(after []byte, n int) (list []session.Fact, next []byte, err error) {
	held, next, err := c.node.Store.Held(after, n, func(string) bool { return true })
	for i := range held {
		list = append(list, held[i].Fact)
	}
	return list, next, err
}

// isGone reports whether the table, which knows all that its nodes hold, does not have a device
// at the node that a record names. The records of one that is no member end in another way (store's Living).
func (c *Cluster) isGone(f *session.Fact) (bool, error) {
	if !c.isMember(f.Origin) || c.Locate(f.Account, f.Device).State == deliver.There {
		return false, nil
	}
	if n := c.replica.Lacking(); n > 0 {
		return false, fmt.Errorf("cluster: the table lacks the sessions of %d nodes", n)
	}
	return true, nil
}

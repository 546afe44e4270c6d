package mailbox

import (
	"context"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/roostpush/roost/session"
)

// crowd is a node's surroundings with a goroutine for each thing that happens: devices that
// come and go while they are pushed to, and a network that answers in any order.
type crowd struct {
	mailbox *Mailbox
	nowMS   atomic.Int64
	newest  atomic.Uint64
	number  atomic.Uint64
	devices [8]struct {
		version atomic.Uint64
	}
	answers  sync.WaitGroup
	finished sync.WaitGroup
	outcomes [session.OutcomeCount]atomic.Int64
}

func (c *crowd) Online(a session.Address) (uint64, bool) {
	i, _ := strconv.Atoi(a.Device)
	version := c.devices[i].version.Load()
	return version, version != 0
}

func (c *crowd) Devices(_ string, dst []string) ([]string, error) {
	for i := range c.devices {
		dst = append(dst, strconv.Itoa(i))
	}
	return dst, nil
}

func (c *crowd) Cancel(session.Address, []session.ID) {}

func (c *crowd) Attempt(m *session.Kept, version uint64, heard func(session.Outcome)) {
	a, id := m.Address, m.ID
	c.answers.Go(func() {
		_, ok := c.Online(a)
		switch {
		case !ok:
			heard(session.Offline)
		case rand.IntN(10) == 0:
			heard(session.Overloaded)
		case rand.IntN(2) == 0:
			c.mailbox.Acked(a, id)
			heard(session.Written)
		default:
			heard(session.Written)
			c.mailbox.Acked(a, id)
		}
	})
}

func (c *crowd) Kept(_ session.ID, devices int, refused session.Outcome, _ string) {
	if refused != session.Pending {
		c.outcomes[refused].Add(1)
	}
	c.finished.Add(devices)
	c.finished.Done()
}

func (c *crowd) Became(_ session.ID, _ string, o session.Outcome) {
	if final(o) && o != session.Overloaded {
		c.outcomes[o].Add(1)
		c.finished.Done()
	}
}

// TestCrowd wants every message that was kept to become final, whoever does what at the
// same time.
func TestCrowd(t *testing.T) {
	c := &crowd{}
	c.nowMS.Store(1_000_000)
	store := newTwin()
	cfg := testConfig()
	cfg.WindowMessages = 8
	c.mailbox = New(cfg, Ports{
		Store: store, Router: c, Presence: c, Directory: c, Canceller: c,
		NewID: func() session.ID {
			return session.ID{Origin: session.Origin{Node: "n1", Epoch: 1}, Number: session.MessageID(c.number.Add(1))}
		},
		Now: c.nowMS.Load,
	})
	ctx, cancel := context.WithCancel(context.Background())
	var background, posters sync.WaitGroup
	background.Go(func() { c.mailbox.Run(ctx) })
	background.Go(func() { // the clock, the store's writer, and devices that come and go
		for ctx.Err() == nil {
			nowMS := c.nowMS.Add(20)
			c.mailbox.Tick(nowMS, nowMS)
			store.sync()
			i := rand.IntN(len(c.devices))
			if rand.IntN(3) == 0 {
				c.devices[i].version.Store(0)
			} else {
				version := c.newest.Add(1)
				c.devices[i].version.Store(version)
				c.mailbox.Opened(session.Address{Account: "a", Device: strconv.Itoa(i)}, version)
			}
			c.mailbox.Stats()
			runtime.Gosched()
		}
	})
	const posts = 300
	for poster := range 4 {
		posters.Go(func() {
			for i := range posts {
				p := Push{Account: "a", Payload: []byte("hello"), ExpiresMS: c.nowMS.Load() + 1_000_000}
				if i%10 > 0 {
					p.Device = strconv.Itoa((i + poster) % len(c.devices))
				}
				if i%7 == 0 {
					p.Collapse = "k"
				}
				p.First = i%20 == 0
				c.finished.Add(1)
				c.mailbox.Post(&p, c)
				if i%50 == 0 {
					if _, _, err := c.mailbox.Cancel(session.ID{Origin: session.Origin{Node: "n1", Epoch: 1}, Number: session.MessageID(i)}); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	posters.Wait()
	c.finished.Wait()
	cancel()
	background.Wait()
	c.answers.Wait()
	store.sync()
	if s := c.mailbox.Stats(); s.Waiting != 0 || s.WaitingBytes != 0 || s.Devices != 0 || s.Watched != 0 || store.count() != 0 {
		t.Errorf("stats: %+v; stored: %d", s, store.count())
	}
	if c.outcomes[session.Acked].Load() == 0 || c.outcomes[session.Cancelled].Load() == 0 {
		t.Error("nothing was acked or nothing was cancelled")
	}
}

package disruption

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// device is one device: it stays connected, comes back when its session ends, and moves
// when the fleet says so.
type device struct {
	fleet *fleet
	name  string // account and device

	mu       sync.Mutex
	sessions []*session // open; the newest is last
	dialing  int        // sessions that the node may have already
	changes  uint64
	sinceNS  int64
}

// Times of coming back.
const (
	backoffMin = 50 * time.Millisecond
	backoffMax = 2 * time.Second
)

// pushed is the payload of every push.
type pushed struct {
	For    string `json:"for"`
	Worker int    `json:"worker"`
	Number int    `json:"number"`
}

// come connects to some node, again and again until it has worked, and holds the session
// until it ends; then it comes back. It returns when the device has a newer session, or
// ctx ends.
func (d *device) come(ctx context.Context) {
	backoff := backoffMin
	for ctx.Err() == nil {
		s, err := d.dial(ctx)
		if err != nil {
			d.fleet.count.failedDials.Add(1)
			pause(ctx, rand.N(backoff))
			backoff = min(2*backoff, backoffMax)
			continue
		}
		backoff = backoffMin
		if !d.hold(s) {
			return
		}
		wait := rand.N(4 * backoffMin)
		if s.told > 0 {
			wait = s.told
		}
		pause(ctx, wait)
	}
}

// dial opens a session on a random node, and makes it the device's newest.
func (d *device) dial(ctx context.Context) (*session, error) {
	select {
	case d.fleet.dials <- struct{}{}:
		defer func() { <-d.fleet.dials }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	node := d.fleet.nodes.forDevice()
	// The node has the session before the device has read its hello.
	d.changed(func() { d.dialing++ })
	s, err := open(ctx, node, d.fleet.cfg.Nodes[node], d.name)
	d.changed(func() {
		if d.dialing--; err == nil {
			d.sessions = append(d.sessions, s)
		}
	})
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		s.Close() // nobody else closes it any more
	}
	return s, nil
}

// changed notes that the device's sessions are not what they were.
func (d *device) changed(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
	d.changes++
	d.sinceNS = time.Now().UnixNano()
}

// hold reads a session to its end; true: it was the newest, and the device is to come
// back.
func (d *device) hold(s *session) (newest bool) {
	for {
		e, err := s.next()
		if err != nil {
			break
		}
		switch e.Type {
		case "message":
			d.received(e.Payload)
		case "goaway":
			d.fleet.count.goaways.Add(1)
			d.changed(func() {}) // from here on the device is leaving, though it reads what comes before the end
			s.HangUp()
		}
	}
	s.Close()
	d.changed(func() {
		newest = d.sessions[len(d.sessions)-1] == s
		d.sessions = slices.DeleteFunc(d.sessions, func(other *session) bool { return other == s })
	})
	d.fleet.count.ended.Add(1)
	return newest
}

// received takes a message: is it for this device?
func (d *device) received(payload json.RawMessage) {
	var p pushed
	if err := json.Unmarshal(payload, &p); err != nil {
		d.fleet.wrong(fmt.Sprintf("%s got %.80q, which nobody pushed", d.name, payload))
		return
	}
	if p.For != d.name {
		d.fleet.wrong(fmt.Sprintf("%s got the message %d/%d for %s", d.name, p.Worker, p.Number, p.For))
		return
	}
	d.fleet.arrived(p)
}

// move makes the device connect elsewhere: either it leaves first, or the new session
// comes first and the node ends the old one.
func (d *device) move(ctx context.Context) {
	d.mu.Lock()
	var s *session
	if len(d.sessions) == 1 {
		s = d.sessions[0]
	}
	d.mu.Unlock()
	switch {
	case s == nil:
	case rand.N(2) == 0:
		d.changed(func() {})
		s.HangUp()
	default:
		d.come(ctx)
	}
}

// view is what the device looks like now.
func (d *device) view() view {
	d.mu.Lock()
	defer d.mu.Unlock()
	v := view{changes: d.changes, sinceNS: d.sinceNS, dialing: d.dialing}
	if n := len(d.sessions); n > 0 {
		v.session, v.others = d.sessions[n-1], n-1
	}
	return v
}

// close ends all sessions.
func (d *device) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.sessions {
		s.Close()
	}
}

func pause(ctx context.Context, how time.Duration) {
	t := time.NewTimer(how)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

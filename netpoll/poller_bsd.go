//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package netpoll

import (
	"github.com/panjf2000/gnet/v2/pkg/errors"
	gnet "github.com/panjf2000/gnet/v2/pkg/netpoll"
)

// poller tells a loop what has happened to its descriptors: kqueue, by gnet. It belongs to
// its loop.
type poller struct{ kqueue *gnet.Poller }

func newPoller() (*poller, error) {
	k, err := gnet.OpenPoller()
	if err != nil {
		return nil, err
	}
	return &poller{k}, nil
}

// run is turns of the loop until that stops, each of one event, since gnet does not say
// which is the last of several. A descriptor that failed is readable: reading it says how.
func (p *poller) run(l *loop) error {
	err := p.kqueue.Polling(func(fd int, ev gnet.IOEvent, flags gnet.IOFlags) error {
		l.beginTurn()
		l.event(fd, gnet.IsReadEvent(ev) || gnet.IsErrorEvent(ev, flags), gnet.IsWriteEvent(ev))
		if l.endTurn() {
			l.bell.ring() // so that it does not wait
		}
		if l.stopping {
			return errors.ErrEngineShutdown
		}
		return nil
	})
	if l.stopping {
		return nil
	}
	return err
}

// add watches a descriptor for input.
func (p *poller) add(fd int) error { return p.kqueue.AddRead(&gnet.PollAttachment{FD: fd}, false) }

// addListener does the same for a listener, edge-triggered: see listenerEdge.
func (p *poller) addListener(fd int) error {
	return p.kqueue.AddRead(&gnet.PollAttachment{FD: fd}, true)
}

// watchWrites watches a descriptor for room as well, or no longer.
func (p *poller) watchWrites(fd int, yes bool) error {
	pa := &gnet.PollAttachment{FD: fd}
	if yes {
		return p.kqueue.ModReadWrite(pa, false)
	}
	return p.kqueue.ModRead(pa, false)
}

// remove stops watching; closing the descriptor does so, too.
func (p *poller) remove(fd int) { _ = p.kqueue.Delete(fd) }

func (p *poller) close() { _ = p.kqueue.Close() }

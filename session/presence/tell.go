package presence

import (
	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session/wire"
)

// Events go to a watcher until events_max of them are on their way to it, or the loop's
// outbox is full. Then it is behind: what follows is not sent, and not kept either. Once
// it has taken what was on its way it is told how things are: of every device, a place in
// the list at a time. A new watcher begins like that, and is told of those online only.

// words are what events call the states.
var words = [...]string{Offline: wire.StateOffline, Online: wire.StateOnline}

// tell sends what became of a device to whoever does not get it by catching up.
func (t *tick) tell(a *account, i int) {
	for _, w := range a.watchers {
		if w.next < 0 || i < w.next {
			t.send(a, w, i)
		}
	}
}

// send sends an event to a watcher; false: it is behind now. The device itself is not
// told of itself.
func (t *tick) send(a *account, w *watcher, i int) bool {
	p, d := t.p, &a.devices[i]
	if d.name == w.device {
		return true
	}
	if w.lost.Load() || int(w.inFlight.Load()) >= p.cfg.EventsMax {
		p.count.deferred.Add(1)
		w.fallBehind()
		return false
	}
	t.events--
	p.count.events.Add(1)
	p.scratch = wire.AppendPresence(p.scratch[:0], d.name, words[d.told], d.atMS)
	w.inFlight.Add(1)
	p.sockets.Send(w.conn, netpoll.OpText, p.scratch, w, 0)
	return true
}

// catchUp tells a watcher of the devices it has not been told of; false: there are more.
func (t *tick) catchUp(a *account, w *watcher) bool {
	if w.next == 0 && w.all && w.inFlight.Load() > 0 {
		return false // it has to take what is on its way first
	}
	for ; w.next < len(a.devices); w.next++ {
		d := &a.devices[w.next]
		if d.told == Unknown || d.told == Offline && !w.all {
			continue
		}
		if t.events <= 0 || int(w.inFlight.Load()) >= t.p.cfg.EventsMax {
			return false
		}
		if !t.send(a, w, w.next) {
			return false
		}
	}
	w.next, w.all = -1, false
	return true
}

// fallBehind makes a watcher catch up from the beginning.
func (w *watcher) fallBehind() {
	w.lost.Store(false)
	w.next, w.all = 0, true
}

// Sent hears what became of an event (netpoll.Receipt). It is called on loops, and by Send
// with mu held.
func (w *watcher) Sent(_ uint64, r netpoll.Result) {
	w.inFlight.Add(-1)
	if r == netpoll.ResultFull {
		w.p.count.lost.Add(1)
		w.lost.Store(true)
		w.p.lost.Store(true)
	}
}

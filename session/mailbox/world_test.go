package mailbox

import (
	"fmt"
	"slices"
	"strings"

	"github.com/roostpush/roost/session"
)

// world is everything around a mailbox, one step at a time: a store, the devices of one
// account and their sessions, what is on its way to them, and a clock. Nothing in it happens but by
// a step, so that whoever chooses the steps sees every interleaving there is.
type world struct {
	mailbox  *Mailbox
	cfg      Config
	store    *twin
	keyed    bool  // the store keeps idempotency keys too
	nowMS    int64 // the wall clock
	steadyMS int64
	epoch    uint64
	number   session.MessageID

	online  map[session.Address]uint64
	newest  uint64
	ended   bool     // all sessions have, and Online still gives their versions
	devices []string // the account's, as the directory knows them

	flying []*flight
	got    []receipt // what devices have, and have not acknowledged
	busy   int       // attempts that will be overloaded

	delivered map[string]int  // "device id version": how often, in this run
	settled   map[string]bool // "device id": acknowledged, and that was taken, in this run
	acked     map[string]bool // the same, in any run
	kept      map[session.ID]int
	became    map[string][]session.Outcome // "device id"
	refused   []string
	cancelled []string // "device id" of cancel frames
	wrong     []string // what must not be
}

// flight is a message on its way to a session.
type flight struct {
	message session.Kept
	version uint64 // of the session; 0: there was none
	meant   uint64 // of the session that the mailbox meant
	heard   func(session.Outcome)
	arrived bool
	outcome session.Outcome
}

// receipt is a message that a device has.
type receipt struct {
	address session.Address
	id      session.ID
}

func newWorld(cfg Config) *world {
	w := &world{
		cfg: cfg, store: newTwin(), nowMS: 1_000_000, steadyMS: 5000, online: map[session.Address]uint64{},
		acked: map[string]bool{}, kept: map[session.ID]int{}, became: map[string][]session.Outcome{},
	}
	w.start()
	return w
}

// start begins a run of the mailbox.
func (w *world) start() {
	w.epoch++
	w.number = 0
	w.settled, w.delivered = map[string]bool{}, map[string]int{}
	ports := Ports{
		Store: w.store, Router: w, Presence: w, Directory: w, Canceller: w,
		NewID: func() session.ID {
			w.number++
			return session.ID{Origin: session.Origin{Node: "n1", Epoch: w.epoch}, Number: w.number}
		},
		Now: func() int64 { return w.nowMS }, SteadyMS: func() int64 { return w.steadyMS },
	}
	if w.keyed {
		ports.Keys = w.store
	}
	w.mailbox = newMailbox(w.cfg, ports, 1)
}

// crash ends the process, and begins another one.
func (w *world) crash() {
	w.store.crash()
	w.flying = nil
	w.start()
}

func address(device string) session.Address { return session.Address{Account: "a", Device: device} }

func (w *world) post(p Push) {
	p.Account, p.SentMS = "a", w.nowMS
	if p.ExpiresMS == 0 {
		p.ExpiresMS = w.nowMS + 3_600_000
	}
	if p.Payload == nil {
		p.Payload = []byte("hello")
	}
	w.mailbox.Post(&p, w)
	clear(p.Payload)
}

// Kept and Became make the world a watcher.
func (w *world) Kept(id session.ID, devices int, refused session.Outcome, why string) {
	if refused != session.Pending {
		w.refused = append(w.refused, refused.String()+": "+why)
		return
	}
	if w.kept[id] != 0 {
		w.fault("%s was kept twice", id.Text())
	}
	w.kept[id] = devices
}

func (w *world) Became(id session.ID, device string, o session.Outcome) {
	name := device + " " + id.Text()
	before := w.became[name]
	if w.kept[id] == 0 {
		w.fault("%s became %s before it was kept", name, o)
	}
	if n := len(before); n > 0 && (before[n-1] == o || final(before[n-1])) {
		w.fault("%s became %s after %s", name, o, before[n-1])
	}
	w.became[name] = append(before, o)
}

func (w *world) fault(format string, args ...any) {
	w.wrong = append(w.wrong, fmt.Sprintf(format, args...))
}

func (w *world) Online(a session.Address) (version uint64, ok bool) {
	version, ok = w.online[a]
	return version, ok && !w.ended
}

func (w *world) Devices(_ string, dst []string) ([]string, error) {
	return append(dst, w.devices...), nil
}

func (w *world) Cancel(a session.Address, ids []session.ID) {
	for _, id := range ids {
		w.cancelled = append(w.cancelled, a.Device+" "+id.Text())
	}
}

func (w *world) Attempt(m *session.Kept, version uint64, heard func(session.Outcome)) {
	f := &flight{message: *m, version: w.online[m.Address], heard: heard}
	if it := w.mailbox.shards[0].itemLocked(m.Address, m.ID); it != nil {
		f.meant = it.sentOn
	}
	f.message.Payload = slices.Clone(m.Payload)
	f.message.From, f.message.Trace = strings.Clone(m.From), strings.Clone(m.Trace)
	if m.ExpiresMS <= w.nowMS {
		w.fault("%s was sent after its time", m.ID.Text())
	}
	if w.settled[m.Device+" "+m.ID.Text()] {
		w.fault("%s was sent after its ack", m.ID.Text())
	}
	switch {
	case w.busy > 0:
		w.busy--
		f.arrived, f.outcome = true, session.Overloaded
	case f.version == 0:
		f.arrived, f.outcome = true, session.Offline
	}
	w.flying = append(w.flying, f)
}

// arrive ends the way of a message to its device: it is there, or lost with the session.
func (w *world) arrive(f *flight) {
	f.arrived, f.outcome = true, session.Lost
	a := f.message.Address
	if w.online[a] != f.version {
		return
	}
	f.outcome = session.Written
	name := a.Device + " " + f.message.ID.Text()
	if w.delivered[fmt.Sprint(name, " ", f.version)]++; w.delivered[fmt.Sprint(name, " ", f.version)] > 1 {
		w.fault("%s was delivered twice to session %d", name, f.version)
	}
	w.got = append(w.got, receipt{a, f.message.ID})
}

// hear tells the mailbox what became of an attempt.
func (w *world) hear(f *flight) {
	w.flying = slices.DeleteFunc(w.flying, func(g *flight) bool { return g == f })
	f.heard(f.outcome)
}

// ack acknowledges a message.
func (w *world) ack(r receipt) {
	w.got = slices.DeleteFunc(w.got, func(g receipt) bool { return g == r })
	if w.mailbox.Acked(r.address, r.id) {
		w.settled[r.address.Device+" "+r.id.Text()] = true
		w.acked[r.address.Device+" "+r.id.Text()] = true
	}
}

// checkFates wants everything that was kept to be final, and nothing to be acknowledged but
// by its device. It counts the outcomes.
func (w *world) checkFates() map[string]int {
	counts := map[string]int{}
	for id := range w.kept {
		_, list, found, _ := w.store.Fates(id)
		if !found {
			w.fault("%s was kept and is not known", id.Text())
		}
		for _, f := range list {
			counts[f.Outcome.String()]++
			if !final(f.Outcome) {
				w.fault("%s was kept for %s and is %s", id.Text(), f.Device, f.Outcome)
			}
			if f.Outcome == session.Acked && !w.acked[f.Device+" "+id.Text()] {
				w.fault("%s is acked, but not by %s", id.Text(), f.Device)
			}
		}
	}
	return counts
}

// connect begins a session of the device, which the mailbox is to be told of.
func (w *world) connect(device string) (version uint64) {
	w.newest++
	w.online[address(device)] = w.newest
	return w.newest
}

// work does what waits for a worker, once.
func (w *world) work() bool {
	j := w.mailbox.queue.pop(false)
	if j != nil {
		j.work(&worker{})
	}
	return j != nil
}

// pauses reports whether the mailbox leaves a device alone for a while.
func (w *world) pauses() bool {
	for _, b := range w.mailbox.shards[0].boxes {
		if b.retryMS != 0 {
			return true
		}
	}
	return len(w.mailbox.queue.delayed) > 0
}

// pass lets time pass that nobody tells the mailbox of.
func (w *world) pass(ms int64) {
	w.nowMS += ms
	w.steadyMS += ms
}

// tick lets time pass.
func (w *world) tick(ms int64) {
	w.pass(ms)
	w.mailbox.Tick(w.steadyMS, w.nowMS)
}

// settle does everything there is to do, in the most obvious order.
func (w *world) settle() {
	for again := true; again; {
		again = w.work()
		if w.store.unsynced() > 0 {
			w.store.sync()
			again = true
		}
		for len(w.flying) > 0 {
			f := w.flying[0]
			if !f.arrived {
				w.arrive(f)
			}
			w.hear(f)
			again = true
		}
		for len(w.got) > 0 {
			w.ack(w.got[0])
			again = true
		}
		if !again && w.pauses() {
			w.tick(60_000)
			again = true
		}
	}
}

package deliver

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// world is everything around a router, as it may behave: sockets that take a
// message or do not, receipts that come late and in any order, devices that
// reconnect, ack, or ack what is not theirs.
type world struct {
	t      *rapid.T
	router *Router
	reg    *session.Registry
	live   map[netpoll.ConnID]*session.Session
	ever   []*session.Session
	flying []sent
	took   map[string]bool // "push device": a socket took all of it
	acked  map[string]bool
	handed map[string]bool // "push device": it was handed to a socket
	pushes []*expected
	conns  uint64
}

// expected is what the world knows of a push.
type expected struct {
	id         session.MessageID
	wait       session.Wait
	delivery   *Delivery
	addressees map[session.Address]bool
	device     string // the addressee, if it is one device
	calls      int
}

func (w *world) Send(id netpoll.ConnID, op netpoll.Op, payload []byte, rcpt netpoll.Receipt, tag uint64) {
	w.SendMany([]netpoll.ConnID{id}, op, payload, rcpt, tag)
}

func (w *world) SendMany(ids []netpoll.ConnID, op netpoll.Op, payload []byte, rcpt netpoll.Receipt, tag uint64) {
	for i, id := range slices.Clone(ids) {
		x := sent{id, op, string(payload), rcpt, tag + uint64(i), 0}
		if m := payloadNumber.FindStringSubmatch(x.payload); m != nil {
			w.handed[m[1]+" "+w.ever[id-1].String()] = true
		}
		if rapid.IntRange(0, 3).Draw(w.t, "at once") == 0 {
			w.settle(x)
		} else {
			w.flying = append(w.flying, x)
		}
	}
}

// forms are what makes a session get a message in each of its forms.
var forms = []session.Permissions{0, session.SSE, session.Raw}

var payloadNumber = regexp.MustCompile(`"push (\d+)"`)

// settle lets a send end, as the state of its connection allows.
func (w *world) settle(x sent) {
	s := w.live[x.conn]
	res := netpoll.ResultGone
	switch {
	case s != nil:
		res = rapid.SampledFrom([]netpoll.Result{netpoll.ResultWritten, netpoll.ResultWritten, netpoll.ResultFull, netpoll.ResultCut}).Draw(w.t, "result")
	case rapid.IntRange(0, 3).Draw(w.t, "cut") == 0:
		res = netpoll.ResultCut
	}
	if res == netpoll.ResultWritten && x.op != netpoll.OpPing {
		var f wire.ServerFrame
		text, isEvent := x.payload, x.op == netpoll.OpEvent
		if isEvent {
			_, text, _ = strings.Cut(text, "\ndata: ")
		}
		raw, sse := s.Permissions&session.Raw != 0, s.Permissions&session.SSE != 0
		if err := wire.ParseServer([]byte(text), &f); raw == (err == nil) || isEvent != sse {
			w.t.Fatalf("connection with permissions %b got %s", s.Permissions, x.payload)
		}
		w.took[payloadNumber.FindStringSubmatch(x.payload)[1]+" "+s.String()] = true
	}
	if x.rcpt != nil {
		x.rcpt.Sent(x.tag, res)
	}
}

func (w *world) open() {
	s := session.New(fmt.Sprint("a", rapid.IntRange(0, 2).Draw(w.t, "account")), fmt.Sprint("d", rapid.IntRange(0, 3).Draw(w.t, "device")))
	w.conns++
	s.Conn = w.conns
	s.Permissions = rapid.SampledFrom(forms).Draw(w.t, "form")
	if old := w.reg.Open(s); old != nil && rapid.Bool().Draw(w.t, "close the older one") {
		delete(w.live, netpoll.ConnID(old.Conn))
	}
	w.live[netpoll.ConnID(s.Conn)] = s
	w.ever = append(w.ever, s)
}

func (w *world) close() {
	if len(w.ever) > 0 {
		s := rapid.SampledFrom(w.ever).Draw(w.t, "session")
		delete(w.live, netpoll.ConnID(s.Conn))
		w.reg.Close(s)
	}
}

func (w *world) push() {
	p := Push{SentMS: 1, Payload: fmt.Appendf(nil, `"push %d"`, len(w.pushes))}
	p.Wait = rapid.SampledFrom([]session.Wait{session.WaitWritten, session.WaitAcked}).Draw(w.t, "wait")
	p.To.Account = fmt.Sprint("a", rapid.IntRange(0, 2).Draw(w.t, "account"))
	e := &expected{wait: p.Wait, delivery: new(Delivery), addressees: map[session.Address]bool{}}
	var sessions []*session.Session
	switch rapid.IntRange(0, 3).Draw(w.t, "to") {
	case 0:
		p.To.All = true
		for i := range w.reg.Shards() {
			sessions = w.reg.AppendAll(sessions, i)
		}
	case 1:
		p.To.Except = "d1"
		sessions = w.reg.AppendAccount(nil, p.To.Account)
	default:
		e.device = fmt.Sprint("d", rapid.IntRange(0, 3).Draw(w.t, "device"))
		p.To.Device = e.device
		e.addressees[session.Address{Account: p.To.Account, Device: e.device}] = true
	}
	for _, s := range sessions {
		if p.To.All || s.Device != p.To.Except {
			e.addressees[s.Address] = true
		}
	}
	w.pushes = append(w.pushes, e)
	e.delivery.Reset(p.Wait, func(*Delivery) { e.calls++ })
	e.id = w.router.Deliver(&p, e.delivery)
	clear(p.Payload)
}

func (w *world) ack() {
	if len(w.pushes) == 0 || len(w.ever) == 0 {
		return
	}
	i := rapid.IntRange(0, len(w.pushes)-1).Draw(w.t, "push")
	s := rapid.SampledFrom(w.ever).Draw(w.t, "from")
	e := w.pushes[i]
	if w.router.Ack(s, origin, e.id) {
		if e.wait != session.WaitAcked || !e.addressees[s.Address] || !w.handed[fmt.Sprint(i, " ", s.Address)] {
			w.t.Fatalf("the ack of %v for push %d is taken", s, i)
		}
		w.acked[fmt.Sprint(i, " ", s.Address)] = true
	}
}

func (w *world) receipt() {
	if len(w.flying) > 0 {
		i := rapid.IntRange(0, len(w.flying)-1).Draw(w.t, "receipt")
		x := w.flying[i]
		w.flying = slices.Delete(w.flying, i, i+1)
		w.settle(x)
	}
}

// check holds each push against what happened: every addressee has one outcome, and
// none is better than the truth.
func (w *world) check() {
	for i, e := range w.pushes {
		d := e.delivery
		if e.calls != 1 || d.Total() != len(e.addressees) {
			w.t.Fatalf("push %d: settled %d times, %d addressees of %d", i, e.calls, d.Total(), len(e.addressees))
		}
		var counts [session.OutcomeCount]int
		for n := range d.targets {
			t := &d.targets[n]
			counts[t.outcome]++
			if t.session == nil {
				if t.outcome != session.Offline || e.device != d.to.Device {
					w.t.Fatalf("push %d: %v for nobody", i, t.outcome)
				}
				continue
			}
			a := t.session.Address
			if !e.addressees[a] {
				w.t.Fatalf("push %d: %v is no addressee, or is there twice", i, a)
			}
			delete(e.addressees, a)
			key := fmt.Sprint(i, " ", a)
			switch t.outcome {
			case session.Written:
				if e.wait != session.WaitWritten || !w.took[key] {
					w.t.Fatalf("push %d: written for %v, but no socket took it", i, a)
				}
			case session.Acked:
				if !w.acked[key] {
					w.t.Fatalf("push %d: acked for %v, who did not", i, a)
				}
			case session.Offline, session.Overloaded, session.Lost, session.Timeout:
			default:
				w.t.Fatalf("push %d: %v for %v", i, t.outcome, a)
			}
			if w.acked[key] != (t.outcome == session.Acked) {
				w.t.Fatalf("push %d: %v for %v, whose ack was taken", i, t.outcome, a)
			}
		}
		if counts != d.Counts() {
			w.t.Fatalf("push %d: counts %v, want %v", i, d.Counts(), counts)
		}
	}
	if s := w.router.Stats(); s.AcksAwaited != 0 || s.Paced != 0 {
		w.t.Fatalf("stats %+v at the end", s)
	}
}

func TestOutcomesNeverLie(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{t: t, reg: session.NewRegistry(), live: map[netpoll.ConnID]*session.Session{}, took: map[string]bool{}, acked: map[string]bool{}, handed: map[string]bool{}}
		cfg := Default()
		cfg.InFlightMax = rapid.IntRange(2, 6).Draw(t, "in flight")
		cfg.AcksMax = rapid.IntRange(1, 20).Draw(t, "acks")
		cfg.PacedMax = rapid.IntRange(1, 20).Draw(t, "paced")
		w.router = NewRouter(cfg, origin, w.reg, w, nil)
		expire := func() {
			if len(w.pushes) > 0 {
				rapid.SampledFrom(w.pushes).Draw(t, "push").delivery.Expire()
			}
		}
		actions := []func(){w.open, w.open, w.close, w.push, w.push, w.ack, w.ack, w.receipt, w.receipt, w.receipt, func() { w.router.Tick(0) }, expire}
		for range rapid.IntRange(1, 150).Draw(t, "steps") {
			actions[rapid.IntRange(0, len(actions)-1).Draw(t, "action")]()
		}
		// Everything that flies comes down; what waits for acks then expires.
		for len(w.flying) > 0 {
			w.receipt()
		}
		for i, e := range w.pushes {
			if e.wait == session.WaitWritten && e.calls != 1 {
				t.Fatalf("push %d has all its receipts and is settled %d times", i, e.calls)
			}
			e.delivery.Expire()
		}
		w.check()
	})
}

// loops answers every send from another goroutine.
type loops struct{ sends chan sent }

func (l *loops) Send(id netpoll.ConnID, op netpoll.Op, payload []byte, rcpt netpoll.Receipt, tag uint64) {
	l.sends <- sent{id, op, string(payload), rcpt, tag, 0}
}

func (l *loops) SendMany(ids []netpoll.ConnID, op netpoll.Op, payload []byte, rcpt netpoll.Receipt, tag uint64) {
	for i, id := range ids {
		l.Send(id, op, payload, rcpt, tag+uint64(i))
	}
}

// TestRace lets receipts, acks, ticks and deadlines meet: with -race it finds
// unguarded access, without it a delivery that is not settled exactly once, or that
// is called after Expire has returned.
func TestRace(t *testing.T) {
	const devices, rounds = 24, 300
	l := &loops{sends: make(chan sent, 1<<16)}
	reg := session.NewRegistry()
	cfg := Default()
	cfg.InFlightMax = 4
	r := NewRouter(cfg, origin, reg, l, nil)
	var sessions []*session.Session
	for i := range devices {
		s := session.New("alice", fmt.Sprint("d", i))
		s.Conn, s.Permissions = uint64(i), forms[i%3]
		reg.Open(s)
		sessions = append(sessions, s)
	}
	var loopsDone, pushersDone sync.WaitGroup
	for range 2 {
		loopsDone.Go(func() {
			for x := range l.sends {
				if x.rcpt == nil {
					continue
				}
				x.rcpt.Sent(x.tag, netpoll.Result((uint64(x.conn)+x.tag)%4))
				if x.conn%3 == 0 {
					r.Ack(sessions[x.conn], origin, session.MessageID(r.newest.Load()))
				}
				if x.conn%7 == 0 {
					r.Tick(0)
				}
			}
		})
	}
	for g := range 3 {
		pushersDone.Go(func() {
			d := new(Delivery)
			for i := range rounds {
				p := Push{To: To{Account: "alice"}, Payload: []byte(`1`), Wait: session.Wait(i % 2)}
				if i%3 == 0 {
					p.To.Device = fmt.Sprint("d", i%devices)
				} else if g == 0 {
					p.To = To{All: true}
				}
				var calls atomic.Int32
				d.Reset(p.Wait, func(*Delivery) { calls.Add(1) })
				r.Deliver(&p, d)
				d.Expire()
				if n := calls.Load(); n != 1 {
					t.Errorf("called %d times when Expire has returned", n)
				}
				sum := 0
				for _, n := range d.Counts() {
					sum += n
				}
				if sum != d.Total() || d.Counts()[session.Pending] != 0 {
					t.Errorf("counts %v of %d", d.Counts(), d.Total())
				}
			}
		})
	}
	pushersDone.Wait()
	close(l.sends)
	loopsDone.Wait()
}

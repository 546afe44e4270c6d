package deliver

import (
	"fmt"
	"testing"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
)

// instant is a reactor whose sockets take everything at once.
type instant struct{}

func (instant) Send(_ netpoll.ConnID, _ netpoll.Op, _ []byte, rcpt netpoll.Receipt, tag uint64) {
	if rcpt != nil {
		rcpt.Sent(tag, netpoll.ResultWritten)
	}
}

func (i instant) SendMany(ids []netpoll.ConnID, op netpoll.Op, payload []byte, rcpt netpoll.Receipt, tag uint64) {
	for n, id := range ids {
		i.Send(id, op, payload, rcpt, tag+uint64(n))
	}
}

func instantNode(accounts, devices int) (*Router, *session.Registry) {
	reg := session.NewRegistry()
	for a := range accounts {
		for d := range devices {
			reg.Open(session.New(fmt.Sprint("account-", a), fmt.Sprint("device-", d)))
		}
	}
	return NewRouter(Default(), origin, reg, instant{}, nil), reg
}

// raced says that the race detector is on: it makes sync.Pool forget at random.
var raced bool

func TestDeliverAllocatesNothing(t *testing.T) {
	if raced {
		t.Skip("pools forget at random under the race detector")
	}
	r, reg := instantNode(1, 3)
	r.AttachTracer(new(lastEvent))
	var d Delivery
	call := func(*Delivery) {}
	device := To{Account: "account-0", Device: "device-0"}
	s := reg.Lookup("account-0", "device-0")
	for name, p := range map[string]Push{
		"written":       {To: device, Payload: []byte(`{"a":1}`), From: "tv", Wait: session.WaitWritten},
		"traced":        {To: device, Payload: []byte(`{"a":1}`), Wait: session.WaitWritten, Trace: traceparent},
		"none":          {To: device, Payload: []byte(`{"a":1}`), Wait: session.WaitNone},
		"acked":         {To: device, Payload: []byte(`{"a":1}`), Wait: session.WaitAcked},
		"offline":       {To: To{Account: "account-0", Device: "nobody"}, Payload: []byte(`{"a":1}`), Wait: session.WaitWritten},
		"account, none": {To: To{Account: "account-0"}, Payload: []byte(`{"a":1}`), Wait: session.WaitNone},
		"account":       {To: To{Account: "account-0"}, Payload: []byte(`{"a":1}`), Wait: session.WaitWritten},
	} {
		fn := func() {
			d.Reset(p.Wait, call)
			id := r.Deliver(&p, &d)
			if p.Wait == session.WaitAcked {
				r.Ack(s, origin, id)
			}
		}
		for range 1000 {
			fn() // maps and buffers reach their size
		}
		if n := testing.AllocsPerRun(1000, fn); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkDeliver(b *testing.B) {
	const accounts = 10_000
	r, reg := instantNode(accounts, 2)
	names := make([]string, accounts)
	for i := range names {
		names[i] = fmt.Sprint("account-", i)
	}
	payload := []byte(`{"command":"play","title":81234567,"position_ms":123456}`)
	for _, wait := range []session.Wait{session.WaitNone, session.WaitWritten, session.WaitAcked} {
		for _, device := range []string{"device-1", ""} {
			name := "device"
			if device == "" {
				name = "account"
			}
			b.Run(name+"/"+wait.String(), func(b *testing.B) {
				var d Delivery
				call := func(*Delivery) {}
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					p := Push{To: To{Account: names[i%accounts], Device: device}, Payload: payload, Wait: wait}
					d.Reset(wait, call)
					id := r.Deliver(&p, &d)
					if wait == session.WaitAcked {
						r.Ack(reg.Lookup(p.To.Account, "device-0"), origin, id)
						r.Ack(reg.Lookup(p.To.Account, "device-1"), origin, id)
					}
				}
			})
		}
	}
	b.Run("everybody/20000", func(b *testing.B) {
		var d Delivery
		b.ReportAllocs()
		for b.Loop() {
			p := Push{To: To{All: true}, Payload: payload}
			d.Reset(session.WaitWritten, func(*Delivery) {})
			r.Deliver(&p, &d)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(2*accounts), "ns/delivery")
	})
}

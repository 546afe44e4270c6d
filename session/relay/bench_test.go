package relay_test

import (
	"testing"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/deliver"
	"github.com/roostpush/roost/session/relay"
	"github.com/roostpush/roost/session/wire"
)

// blackHole takes everything at once and keeps nothing.
type blackHole struct{}

func (blackHole) Send(_ netpoll.ConnID, _ netpoll.Op, _ []byte, rcpt netpoll.Receipt, tag uint64) {
	if rcpt != nil {
		rcpt.Sent(tag, netpoll.ResultWritten)
	}
}

func (b blackHole) SendMany(ids []netpoll.ConnID, op netpoll.Op, payload []byte, rcpt netpoll.Receipt, tag uint64) {
	for i, id := range ids {
		b.Send(id, op, payload, rcpt, tag+uint64(i))
	}
}

// raced says that the race detector is on: it makes sync.Pool forget at random.
var raced bool

func TestSendAllocatesNothing(t *testing.T) {
	if raced {
		t.Skip("pools forget at random under the race detector")
	}
	r, phone := benchNode()
	for _, frame := range []string{
		`{"type":"send","id":1,"to":{"device":"tv"},"payload":{"a":1}}`,
		`{"type":"send","to":{"device":"tv"},"payload":{"a":1}}`,
		`{"type":"send","id":"x","to":{"devices":"others"},"payload":{"a":1}}`,
	} {
		var f wire.DeviceFrame
		if err := wire.ParseDevice([]byte(frame), &f); err != nil {
			t.Fatal(err)
		}
		r.Send(phone, &f, 1000)
		if n := testing.AllocsPerRun(500, func() { r.Send(phone, &f, 1000) }); n != 0 {
			t.Errorf("%s: %v allocations", frame, n)
		}
	}
}

func benchNode() (*relay.Relay[*deliver.Delivery], *session.Session) {
	reg := session.NewRegistry()
	phone, tv := session.New("alice", "phone"), session.New("alice", "tv")
	phone.Flags = session.MaySend
	reg.Open(phone)
	reg.Open(tv)
	router := deliver.NewRouter(deliver.Default(), session.Origin{Node: "n", Epoch: 1}, reg, blackHole{}, nil)
	return relay.New(relay.Default(), router, nil, blackHole{}, func() *deliver.Delivery { return new(deliver.Delivery) }), phone
}

func BenchmarkSend(b *testing.B) {
	r, phone := benchNode()
	for name, to := range map[string]string{"device": `{"device":"tv"}`, "others": `{"devices":"others"}`} {
		b.Run(name, func(b *testing.B) {
			var f wire.DeviceFrame
			if err := wire.ParseDevice([]byte(`{"type":"send","id":1,"to":`+to+`,"payload":{"a":1}}`), &f); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				r.Send(phone, &f, 1000)
			}
		})
	}
}

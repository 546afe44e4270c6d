package mailbox

import (
	"fmt"
	"runtime"
	"strconv"
	"testing"

	"github.com/roostpush/roost/session"
)

// ether is surroundings that cost next to nothing: everybody is online or nobody is, and
// what is sent is written, and acknowledged when the benchmark says so.
type ether struct {
	version uint64
	number  session.MessageID
	sent    session.ID
	to      session.Address
	mail    []session.Kept
}

func (e *ether) Post(_ []session.Kept, done func(error))                               { done(nil) }
func (e *ether) Settle(session.Address, session.ID, session.Outcome, int64)            {}
func (e *ether) Note(session.Address, session.ID, session.Outcome, int64)              {}
func (e *ether) Online(session.Address) (uint64, bool)                                 { return e.version, e.version != 0 }
func (e *ether) Devices(_ string, dst []string) ([]string, error)                      { return dst, nil }
func (e *ether) Cancel(session.Address, []session.ID)                                  {}
func (e *ether) Fates(session.ID) (string, []Fate, bool, error)                        { return "", nil, false, nil }
func (e *ether) Kept(session.ID, int, session.Outcome, string)                         {}
func (e *ether) Became(session.ID, string, session.Outcome)                            {}
func (e *ether) Mailboxes(func(session.Address, session.ID, int64, string) bool) error { return nil }

func (e *ether) Mail(dst []session.Kept, _ session.Address, after session.ID, n, _ int) ([]session.Kept, error) {
	for _, k := range e.mail {
		if compareIDs(k.ID, after) > 0 && n > 0 {
			dst = append(dst, k)
			n--
		}
	}
	return dst, nil
}

func (e *ether) Attempt(m *session.Kept, version uint64, heard func(session.Outcome)) {
	e.sent, e.to = m.ID, m.Address
	heard(session.Written)
}

func (e *ether) start(cfg Config) *Mailbox {
	m := New(cfg, Ports{
		Store: e, Router: e, Presence: e, Directory: e, Canceller: e,
		NewID: func() session.ID {
			e.number++
			return session.ID{Origin: session.Origin{Node: "n1", Epoch: 1}, Number: e.number}
		},
		Now: func() int64 { return 1_000_000 },
	})
	m.queue.pop(false).work(&worker{}) // the pass over nothing
	return m
}

// BenchmarkPostToAcked is a push to a device that is online and has nothing else waiting:
// kept, sent, written, acknowledged. The store and the socket cost nothing here.
func BenchmarkPostToAcked(b *testing.B) {
	for _, watched := range []bool{false, true} {
		b.Run(fmt.Sprintf("watched=%v", watched), func(b *testing.B) {
			e := &ether{version: 1}
			m := e.start(Default())
			var w Watcher
			if watched {
				w = e
			}
			payload := make([]byte, 100)
			var names [1024]string
			for i := range names {
				names[i] = strconv.Itoa(i)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				p := Push{Account: names[i%1024], Device: "phone", Payload: payload, ExpiresMS: 2_000_000}
				m.Post(&p, w)
				if !m.Acked(e.to, e.sent) {
					b.Fatal("the ack was for nothing")
				}
			}
		})
	}
}

// raced says that the race detector is on: it makes sync.Pool forget at random.
var raced bool

// TestPostToAckedAllocates bounds what a push to a device that is online allocates: the
// names of the device's box.
func TestPostToAckedAllocates(t *testing.T) {
	if raced {
		t.Skip("the race detector's pools forget")
	}
	e := &ether{version: 1}
	m := e.start(Default())
	p := Push{Account: "account", Device: "phone", Payload: make([]byte, 100), ExpiresMS: 2_000_000}
	n := testing.AllocsPerRun(1000, func() {
		m.Post(&p, e)
		m.Acked(e.to, e.sent)
	})
	if n > 1 {
		t.Errorf("%.0f allocations, want 1", n)
	}
}

// BenchmarkDrain is a device that comes online when 100 messages wait for it, until all
// are acknowledged, in a node where 100,000 wait for others.
func BenchmarkDrain(b *testing.B) {
	e := &ether{}
	m := e.start(Default())
	for i := range 1000 {
		for range 100 {
			m.Post(&Push{Account: strconv.Itoa(i), Device: "phone", ExpiresMS: 2_000_000}, nil)
		}
	}
	a := session.Address{Account: "account", Device: "phone"}
	w := &worker{}
	b.ReportAllocs()
	for b.Loop() {
		e.version, e.mail = 0, e.mail[:0]
		for range 100 {
			m.Post(&Push{Account: a.Account, Device: a.Device, Payload: make([]byte, 100), ExpiresMS: 2_000_000}, nil)
			e.mail = append(e.mail, session.Kept{ID: session.ID{Origin: session.Origin{Node: "n1", Epoch: 1}, Number: e.number}, Address: a})
		}
		e.version = uint64(e.number)
		m.Opened(a, e.version)
		for j := m.queue.pop(false); j != nil; j = m.queue.pop(false) {
			j.work(w)
		}
		for i := range e.mail {
			if !m.Acked(a, e.mail[i].ID) {
				b.Fatal("a message was not there")
			}
		}
	}
}

// BenchmarkMemory is what a message that waits costs in memory, by how many wait for one
// device.
func BenchmarkMemory(b *testing.B) {
	for _, each := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("each=%d", each), func(b *testing.B) {
			const messages = 1_000_000
			for b.Loop() {
				e := &ether{}
				before := heap()
				m := e.start(Default())
				for i := range messages / each {
					account := "account-" + strconv.Itoa(i)
					for range each {
						m.Post(&Push{Account: account, Device: "phone", ExpiresMS: 3_600_000}, nil)
					}
				}
				b.ReportMetric(float64(heap()-before)/messages, "B/message")
				runtime.KeepAlive(m)
			}
		})
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

// BenchmarkIndex is what a start makes of 1,000,000 messages that the store holds, 100 for
// each device, beside the store's own reading.
func BenchmarkIndex(b *testing.B) {
	names := make([]string, 10_000)
	for i := range names {
		names[i] = "account-" + strconv.Itoa(i)
	}
	for b.Loop() {
		e := &shelf{names: names}
		m := e.start(Default())
		m.store = e
		m.indexed.Store(false)
		(*index)(m).work(&worker{})
		if n := m.waiting.Load(); n != 1_000_000 {
			b.Fatalf("%d messages wait", n)
		}
	}
}

// shelf is an ether with a store that holds 100 messages for each device.
type shelf struct {
	ether
	names []string
}

func (s *shelf) Mailboxes(emit func(session.Address, session.ID, int64, string) bool) error {
	number := session.MessageID(0)
	for _, name := range s.names {
		for range 100 {
			number++
			emit(session.Address{Account: name, Device: "phone"}, session.ID{Origin: session.Origin{Node: "n1"}, Number: number}, 3_600_000, "")
		}
	}
	return nil
}

package topics

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// BenchmarkPublish finds the subscribers of a topic: that of one device among many, and one
// of 10,000, by its name or in part by a pattern as well.
func BenchmarkPublish(b *testing.B) {
	room := make([]*session.Session, 0, 20_000)
	for _, bc := range []struct {
		name  string
		topic string
		fill  func(n *node)
	}{
		{"nobody", "a.b.c", func(*node) {}},
		{"one of 10000 topics", "user.5000.inbox", func(n *node) {
			for i := range 10_000 {
				n.subscribe(b, n.open("d"), fmt.Sprintf("user.%d.inbox", i))
			}
		}},
		{"10000", "news.eu", func(n *node) {
			for range 10_000 {
				n.subscribe(b, n.open("d"), "news.eu")
			}
		}},
		{"10000 of two patterns", "news.eu", func(n *node) {
			for range 10_000 {
				n.subscribe(b, n.open("d"), "news.eu", "news.*")
			}
		}},
	} {
		b.Run(bc.name, func(b *testing.B) {
			n := newNode(true, elsewhere{}, func(c *Config) { c.SubscriptionsMax = 1 << 20 })
			bc.fill(n)
			m := session.Message{Topic: bc.topic}
			b.ReportAllocs()
			for b.Loop() {
				room = n.Publish(room[:0], origin, &m)
			}
		})
	}
}

// BenchmarkRetain publishes to topics whose window this node keeps.
func BenchmarkRetain(b *testing.B) {
	for _, topics := range []int{1, 10_000} {
		b.Run(fmt.Sprint(topics), func(b *testing.B) {
			n := newNode(true, nil, nil)
			names := make([]string, topics)
			for i := range names {
				names[i] = fmt.Sprintf("user.%d.inbox", i)
			}
			m := session.Message{Payload: make([]byte, 100)}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				m.ID, m.Topic = session.MessageID(i), names[i%topics]
				n.Publish(nil, origin, &m)
			}
		})
	}
}

// BenchmarkSubscribe subscribes a session and ends that again, beside 100,000 others.
func BenchmarkSubscribe(b *testing.B) {
	n := newNode(true, elsewhere{}, nil)
	for i := range 100_000 {
		n.subscribe(b, n.open("d"), fmt.Sprintf("user.%d", i/10))
	}
	s, f := n.open("s"), frame(b, `{"type":"subscribe","id":1,"topics":["user.1","news.*"]}`)
	answer := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		n.Broker.Subscribe(answer, s, f)
		n.Unsubscribe(answer, s, f)
	}
}

// BenchmarkForgetNobody is what the end of a session costs that never subscribed.
func BenchmarkForgetNobody(b *testing.B) {
	n := newNode(true, nil, nil)
	for range 100_000 {
		n.subscribe(b, n.open("d"), "x")
	}
	s := n.open("s")
	for b.Loop() {
		n.Forget(s)
	}
}

// BenchmarkMemory reports what subscriptions take.
func BenchmarkMemory(b *testing.B) {
	for _, bc := range []struct {
		name string
		each int
		of   func(i, j int) string
	}{
		{"1 topic of all", 1, func(int, int) string { return "news" }},
		{"10 topics of all", 10, func(_, j int) string { return fmt.Sprintf("news.%d", j) }},
		{"1 topic of its own", 1, func(i, _ int) string { return fmt.Sprintf("user.%d", i) }},
	} {
		b.Run(bc.name, func(b *testing.B) {
			const sessions = 100_000
			var before, after runtime.MemStats
			for b.Loop() {
				n := newNode(true, nil, nil)
				all := make([]*session.Session, sessions)
				for i := range all {
					all[i] = n.open("d")
				}
				runtime.GC()
				runtime.ReadMemStats(&before)
				for i, s := range all {
					f := wire.DeviceFrame{}
					for j := range bc.each {
						f.Topics = append(f.Topics, []byte(bc.of(i, j)))
					}
					n.Broker.Subscribe(nil, s, &f)
				}
				runtime.GC()
				runtime.ReadMemStats(&after)
				runtime.KeepAlive(all)
				runtime.KeepAlive(n)
			}
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(sessions*bc.each), "B/subscription")
		})
	}
}

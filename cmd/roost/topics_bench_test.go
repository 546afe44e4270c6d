package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/roostpush/roost/cmd/roost/internal/config"
)

// BenchmarkBroadcast pushes to everybody connected, and to a topic that all have
// subscribed to, devices and node in one process: compare the two in one run. The devices
// are as many as a process may have with both ends of their connections.
func BenchmarkBroadcast(b *testing.B) {
	const devices = 8000
	n := startNode(b, func(c *config.Config) { c.Netpoll.PingInterval = time.Hour }) // nobody answers pings
	for i := range devices {
		conn, buffered, _, err := (ws.Dialer{}).Dial(b.Context(), n.url(fmt.Sprint("a", i), "d"))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { conn.Close() })
		if err := wsutil.WriteClientText(conn, []byte(`{"type":"subscribe","topics":["news.eu","news.*"]}`)); err != nil {
			b.Fatal(err)
		}
		var r io.Reader = conn
		if buffered != nil {
			r = buffered
		}
		go func() { _, _ = io.Copy(io.Discard, r) }()
	}
	for n.node.topics.Stats().Subscriptions < 2*devices {
		time.Sleep(time.Millisecond)
	}
	for _, to := range []string{`{"all":true}`, `{"topic":"news.eu"}`} {
		b.Run(to, func(b *testing.B) {
			body := `{"to":` + to + `,"payload":"0123456789"}`
			for b.Loop() {
				resp, err := http.Post("http://"+n.internal+"/v1/messages", "application/json", strings.NewReader(body))
				if err != nil {
					b.Fatal(err)
				}
				text, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || !strings.Contains(string(text), fmt.Sprintf(`"written":%d`, devices)) {
					b.Fatalf("%s %v", text, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*devices), "ns/device")
		})
	}
}

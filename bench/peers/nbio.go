package main

import (
	"net"
	"net/http"

	"github.com/lesismal/nbio/logging"
	"github.com/lesismal/nbio/nbhttp"
	"github.com/lesismal/nbio/nbhttp/websocket"
)

// nbioLoadMax raises the library's limit of 10,000 connections.
const nbioLoadMax = 1 << 20

// serveNbio follows the library's example for many connections: pollers, and a pool
// of goroutines that parse and handle.
func serveNbio(o options) error {
	logging.SetLevel(logging.LevelNone)
	upgrader := websocket.NewUpgrader()
	upgrader.OnMessage(func(c *websocket.Conn, kind websocket.MessageType, data []byte) {
		_ = c.WriteMessage(kind, data)
	})
	l, err := listen(o.listen)
	if err != nil {
		return err
	}
	engine := nbhttp.NewEngine(nbhttp.Config{
		Network: "tcp", Addrs: []string{o.listen}, MaxLoad: nbioLoadMax, ReleaseWebsocketPayload: true,
		Listen: func(string, string) (net.Listener, error) { return l, nil },
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = upgrader.Upgrade(w, r, nil)
		}),
	})
	if err := engine.Start(); err != nil {
		return err
	}
	o.ready("nbio echo server", l.Addr())
	select {}
}

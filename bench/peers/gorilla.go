package main

import (
	"net/http"

	"github.com/gorilla/websocket"
)

// serveGorilla follows the library's echo example.
func serveGorilla(o options) error {
	l, err := listen(o.listen)
	if err != nil {
		return err
	}
	upgrader := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	o.ready("gorilla echo server", l.Addr())
	return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		for {
			kind, message, err := c.ReadMessage()
			if err != nil || c.WriteMessage(kind, message) != nil {
				return
			}
		}
	}))
}

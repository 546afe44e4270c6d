package main

import (
	"context"
	"net/http"

	"github.com/coder/websocket"
)

// serveCoder reads and writes whole messages; its read limit is the library's default
// of 32 KiB.
func serveCoder(o options) error {
	l, err := listen(o.listen)
	if err != nil {
		return err
	}
	ctx := context.Background()
	o.ready("coder echo server", l.Addr())
	return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			return
		}
		defer func() { _ = c.CloseNow() }()
		for {
			kind, message, err := c.Read(ctx)
			if err != nil || c.Write(ctx, kind, message) != nil {
				return
			}
		}
	}))
}

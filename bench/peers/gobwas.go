package main

import (
	"net"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// serveGobwas follows the first example of the library's README: wsutil on a
// connection of package net.
func serveGobwas(o options) error {
	l, err := listen(o.listen)
	if err != nil {
		return err
	}
	o.ready("gobwas echo server", l.Addr())
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go echoGobwas(c)
	}
}

func echoGobwas(c net.Conn) {
	defer c.Close()
	if _, err := ws.Upgrade(c); err != nil {
		return
	}
	for {
		message, op, err := wsutil.ReadClientData(c)
		if err != nil || wsutil.WriteServerMessage(c, op, message) != nil {
			return
		}
	}
}

package main

import (
	"net"

	"github.com/lxzan/gws"
)

// serveGWS follows the library's echo example, without its compression.
func serveGWS(o options) error {
	l, err := listen(o.listen)
	if err != nil {
		return err
	}
	server := gws.NewServer(gwsEcho{}, &gws.ServerOption{})
	server.OnError = func(net.Conn, error) {} // a reset is how the generator says goodbye
	o.ready("gws echo server", l.Addr())
	return server.RunListener(l)
}

type gwsEcho struct{ gws.BuiltinEventHandler }

func (gwsEcho) OnPing(c *gws.Conn, payload []byte) { _ = c.WritePong(payload) }

func (gwsEcho) OnMessage(c *gws.Conn, m *gws.Message) {
	defer m.Close()
	_ = c.WriteMessage(m.Opcode, m.Bytes())
}

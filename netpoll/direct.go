package netpoll

import "net"

// DirectListener returns a listener whose connections are as Direct makes them, for servers
// that are not this package's. It takes l's place: closing it closes l.
func DirectListener(l net.Listener) net.Listener { return directListener{l} }

type directListener struct{ net.Listener }

// Accept waits for a connection; see Direct.
func (l directListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return Direct(c), nil
}

//go:build invariants

package netpoll

import "fmt"

// checkCurrent panics when a method of Conn is called outside the connection's own
// event.
func (l *loop) checkCurrent(c *Conn) {
	if l.current != c {
		panic(fmt.Sprintf("netpoll: connection %d used outside its own event", c.fd))
	}
}

// spoil overwrites what was borrowed, so that nobody gets away with keeping it.
func (l *loop) spoil(p []byte) {
	for i := range p {
		p[i] = 0xCC
	}
}

package netpoll

import (
	"bytes"
	"encoding/binary"
	"net/netip"
)

// proxySignature begins every PROXY protocol v2 header (haproxy.org,
// doc/proxy-protocol.txt, section 2.2).
var proxySignature = []byte("\r\n\r\n\x00\r\nQUIT\n")

const proxyHeaderBytes = 16

// readProxy takes the PROXY header off the front of a connection that comes from a
// trusted proxy. It reports whether the request may be looked at. A connection
// without the header is refused: the protocol forbids guessing.
func (l *loop) readProxy(c *Conn, in *inbound) bool {
	addr, n, ok := parseProxy(in.request)
	switch {
	case !ok:
		l.stats.ProxyRefused++
		l.answer(c, refusal(400, "this address is in proxy_trusted: a PROXY protocol v2 header is due first"), false)
		return false
	case n == 0:
		return false
	}
	if addr.IsValid() {
		c.ctx = addr
	}
	c.flags &^= flagProxy
	in.request = append(in.request[:0], in.request[n:]...)
	in.scanned = 0
	return len(in.request) > 0
}

// parseProxy reads a PROXY v2 header. n is its size, 0 while p is too short; the
// address is not valid for LOCAL connections and families without ports.
func parseProxy(p []byte) (addr netip.AddrPort, n int, ok bool) {
	if !bytes.HasPrefix(p, proxySignature[:min(len(p), len(proxySignature))]) {
		return addr, 0, false
	}
	if len(p) < proxyHeaderBytes {
		return addr, 0, true
	}
	length := int(binary.BigEndian.Uint16(p[14:]))
	version, command, family := p[12]>>4, p[12]&0xf, p[13]
	if version != 2 || command > 1 || length > 2048 {
		return addr, 0, false
	}
	n = proxyHeaderBytes + length
	if len(p) < n {
		return addr, 0, true
	}
	body := p[proxyHeaderBytes:n]
	if command == 0 {
		return addr, n, true
	}
	switch family {
	case 0x11: // TCP over IPv4: two addresses, two ports
		if length < 12 {
			return addr, 0, false
		}
		ip := netip.AddrFrom4([4]byte(body[:4]))
		addr = netip.AddrPortFrom(ip, binary.BigEndian.Uint16(body[8:]))
	case 0x21: // TCP over IPv6
		if length < 36 {
			return addr, 0, false
		}
		ip := netip.AddrFrom16([16]byte(body[:16])).Unmap()
		addr = netip.AddrPortFrom(ip, binary.BigEndian.Uint16(body[32:]))
	}
	return addr, n, true
}

package generator

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/roostpush/roost/bench/tally"
	"github.com/roostpush/roost/bench/target"
)

// dialer holds the addresses in the form that the kernel takes.
type dialer struct {
	nodes   []nodeAddr
	sources []unix.Sockaddr // empty: the kernel chooses
}

type nodeAddr struct {
	family int
	to     unix.Sockaddr
}

func newDialer(t *target.Target) (dialer, error) {
	var d dialer
	for _, source := range t.Sources {
		d.sources = append(d.sources, sockaddr(netip.AddrPortFrom(source, 0)))
	}
	for i := range t.Nodes {
		addr, err := netip.ParseAddrPort(t.Nodes[i].Dial)
		if err != nil {
			return dialer{}, fmt.Errorf("generator: target %q was not resolved to an address: %w", t.Nodes[i].Dial, err)
		}
		n := nodeAddr{unix.AF_INET, sockaddr(addr)}
		if !addr.Addr().Unmap().Is4() {
			n.family = unix.AF_INET6
		}
		for _, source := range t.Sources {
			if source.Is4() != (n.family == unix.AF_INET) {
				return dialer{}, fmt.Errorf("generator: source %s and target %s are not of the same IP version", source, addr)
			}
		}
		d.nodes = append(d.nodes, n)
	}
	return d, nil
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if addr := a.Addr().Unmap(); addr.Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: addr.As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

// connect begins a connection with number index, meant for intendedNS, to the node that
// has its number.
func (l *loop) connect(index, intendedNS int64) {
	l.connectTo(l.target.NodeOf(index), index, intendedNS)
}

// connectTo is connect to any node.
func (l *loop) connectTo(node int, index, intendedNS int64) {
	l.since.Add(tally.Attempted, 1)
	c := l.slots.take()
	c.index, c.intendedNS, c.begunNS, c.fd, c.node = index, intendedNS, l.clock.Now(), -1, uint8(node)
	c.state = stateConnecting
	if l.bridge != nil {
		l.connectBridged(c)
		return
	}
	to := &l.dial.nodes[node]
	fd, err := unix.Socket(to.family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		l.fail(c, dialClass(err))
		return
	}
	c.fd = int32(fd)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if n := len(l.dial.sources); n > 0 {
		// Without this, bind reserves a port for all targets at once and about 28,000
		// connections use up the machine (ip(7)).
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
		if err := unix.Bind(fd, l.dial.sources[index%int64(n)]); err != nil {
			l.fail(c, dialClass(err))
			return
		}
	}
	if err := unix.Connect(fd, to.to); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		l.fail(c, dialClass(err))
		return
	}
	if err := l.poll.add(fd, c.slot, c.generation); err != nil {
		l.fail(c, dialClass(err))
		return
	}
	l.connecting.push(c, c.begunNS+int64(l.plan.Config.ConnectTimeout))
}

// connectBridged begins a wss:// connection. Its end of the pair can be written at once,
// so the handshake waits there until TLS is up.
func (l *loop) connectBridged(c *conn) {
	var source netip.Addr
	if n := len(l.target.Sources); n > 0 {
		source = l.target.Sources[c.index%int64(n)]
	}
	fd, far, err := l.bridge.open(int(c.node), source)
	if err != nil {
		l.fail(c, dialClass(err))
		return
	}
	c.fd = int32(fd)
	l.bridged[c.slot] = far
	if err := l.poll.add(fd, c.slot, c.generation); err != nil {
		l.fail(c, dialClass(err))
		return
	}
	l.connecting.push(c, c.begunNS+int64(l.plan.Config.ConnectTimeout))
}

// bindLate sets IP_BIND_ADDRESS_NO_PORT for dialers of package net.
func bindLate(_ context.Context, _, _ string, raw syscall.RawConn) error {
	return raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	})
}

// connectDone sends the handshake, or learns why there is no connection.
func (l *loop) connectDone(c *conn) {
	if code, err := unix.GetsockoptInt(int(c.fd), unix.SOL_SOCKET, unix.SO_ERROR); err != nil || code != 0 {
		l.fail(c, dialClass(unix.Errno(code)))
		return
	}
	c.state = stateUpgrading
	l.scratch = l.target.AppendRequest(l.scratch[:0], int(c.node), c.index)
	l.write(c, l.scratch)
}

// upgraded notes that 101 was read.
func (l *loop) upgraded(c *conn) {
	now := l.clock.Now()
	c.state = stateOpen
	l.connected++
	l.owed++
	l.since.Add(tally.Opened, 1)
	l.since.Record(tally.Connect, now-c.intendedNS)
	l.since.Record(tally.ConnectClosed, now-c.begunNS)
	if l.onOpened != nil {
		l.onOpened(c.index, now)
	}
	l.tell(c, opened, nil)
}

// fail ends an attempt that did not become a WebSocket.
func (l *loop) fail(c *conn, class string) {
	if far := l.bridged[c.slot]; far != nil && far.why.Load() != nil {
		class = *far.why.Load()
	}
	l.since.Add(tally.Failed, 1)
	l.since.Error(class)
	l.tell(c, failed, []byte(class))
	l.drop(c)
}

// ended ends an open connection that the server or the network ended.
func (l *loop) ended(c *conn, class string) {
	if c.state != stateOpen && c.state != stateClosing {
		l.fail(c, class)
		return
	}
	l.since.Add(tally.Ended, 1)
	if c.code == 0 { // no close frame came
		c.code = 1006
		l.since.Error(class)
	}
	l.since.Close(c.code)
	l.tell(c, ended, nil)
	l.drop(c)
}

// drop closes a connection with a reset, so that no port stays in TIME_WAIT, and
// frees its slot.
func (l *loop) drop(c *conn) {
	if c.state == stateOpen || c.state == stateClosing {
		l.connected--
	}
	if c.fd >= 0 {
		_ = unix.SetsockoptLinger(int(c.fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		_ = unix.Close(int(c.fd))
	}
	if c.rare {
		delete(l.rare, c.slot)
	}
	if l.bridge != nil {
		delete(l.bridged, c.slot)
	}
	l.slots.release(c)
}

// reset drops a connection that has done its duty.
func (l *loop) reset(c *conn) {
	l.owed--
	l.drop(c)
}

// tell passes an event to the phase, if there is one.
func (l *loop) tell(c *conn, e event, payload []byte) {
	if l.phase != nil {
		l.phase.on(l, c, e, payload)
	}
}

// dialClass names an error of a connection in a few fixed words.
func dialClass(err error) string {
	switch {
	case errors.Is(err, unix.ECONNREFUSED):
		return classRefused
	case errors.Is(err, unix.ECONNRESET), errors.Is(err, unix.EPIPE):
		return "reset"
	case errors.Is(err, unix.ETIMEDOUT):
		return "connect timeout"
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return "no free port or no such source address"
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		return "no free descriptor"
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH):
		return "unreachable"
	}
	var errno unix.Errno
	if errors.As(err, &errno) {
		return unix.ErrnoName(errno)
	}
	return "other"
}

const classRefused = "refused"

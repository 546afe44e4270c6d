package netpoll

import (
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// resolveListen reads host:port; an empty host is every address, dual-stack.
func resolveListen(addr string) (netip.AddrPort, error) {
	a, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("netpoll: listen address %q: %w", addr, err)
	}
	ip, ok := netip.AddrFromSlice(a.IP)
	if !ok {
		ip = netip.IPv6Unspecified()
	}
	return netip.AddrPortFrom(ip.Unmap(), uint16(a.Port)), nil
}

// openListeners opens n sockets on one address. The first is bound without
// SO_REUSEPORT and closed again: with it, a second server on the same port would start
// and silently take half the connections.
func openListeners(addr netip.AddrPort, cfg *Config, n int) (fds []int, bound netip.AddrPort, err error) {
	probe, err := listenSocket(addr, cfg, false)
	if err != nil && addr.Addr() == netip.IPv6Unspecified() {
		// A machine without IPv6.
		closeAll([]int{probe})
		addr = netip.AddrPortFrom(netip.IPv4Unspecified(), addr.Port())
		probe, err = listenSocket(addr, cfg, false)
	}
	if err != nil {
		closeAll([]int{probe})
		return nil, bound, fmt.Errorf("netpoll: listen on %v: %w", addr, err)
	}
	bound, err = boundAddr(probe, addr)
	closeAll([]int{probe})
	if err != nil {
		return nil, bound, err
	}
	for range n {
		fd, err := listenSocket(bound, cfg, n > 1)
		fds = append(fds, fd)
		if err == nil {
			err = os.NewSyscallError("listen", unix.Listen(fd, cfg.Backlog))
		}
		if err != nil {
			closeAll(fds)
			return nil, bound, fmt.Errorf("netpoll: listen on %v: %w", bound, err)
		}
	}
	return fds, bound, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// boundAddr asks which port the kernel chose.
func boundAddr(fd int, asked netip.AddrPort) (netip.AddrPort, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return asked, os.NewSyscallError("getsockname", err)
	}
	return netip.AddrPortFrom(asked.Addr(), addrPort(sa).Port()), nil
}

// prepareListener sets the options that accepted sockets inherit, and binds.
func prepareListener(fd int, addr netip.AddrPort, cfg *Config, share bool) error {
	options := []struct{ level, name, value int }{
		{unix.SOL_SOCKET, unix.SO_REUSEADDR, 1},
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{unix.SOL_SOCKET, unix.SO_SNDBUF, cfg.SendBufferBytes / 2},    // the kernel doubles it
		{unix.SOL_SOCKET, unix.SO_RCVBUF, cfg.ReceiveBufferBytes / 2}, // (socket(7))
	}
	if share {
		options = append(options, struct{ level, name, value int }{unix.SOL_SOCKET, unix.SO_REUSEPORT, 1})
	}
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	deferAccept(fd)
	if addr.Addr().Is6() && addr.Addr().IsUnspecified() {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	return os.NewSyscallError("bind", unix.Bind(fd, sockaddr(addr)))
}

func family(addr netip.AddrPort) int {
	if addr.Addr().Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func sockaddr(addr netip.AddrPort) unix.Sockaddr {
	if addr.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(addr.Port()), Addr: addr.Addr().As16()}
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

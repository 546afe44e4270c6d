package gossip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// transport is memberlist's way to the network, with what its own lacks: a hello on
// every stream, limits on strangers, counters, and an end that ends every connection.
type transport struct {
	cfg    Config
	log    *slog.Logger
	count  *counters
	repeat *repeats
	hello  *greeter

	listener  *net.TCPListener
	socket    *net.UDPConn
	packets   chan *memberlist.Packet
	streams   chan net.Conn
	advertise netip.AddrPort

	// What goes out goes through these two; tests put a split network in between.
	dial func(ctx context.Context, addr string) (net.Conn, error)
	send func(packet []byte, to netip.AddrPort) error

	life    context.Context // until Shutdown
	end     context.CancelFunc
	running sync.WaitGroup

	mu    sync.Mutex
	conns map[*stream]struct{} // open ones, both directions; nil: closed
	calls int                  // of those, from others
}

// packetsQueued is how many packets wait for memberlist before they are dropped; it
// only sorts them into queues of its own.
const packetsQueued = 64

// newTransport returns one that can call and cannot be called.
func newTransport(cfg Config, log *slog.Logger, count *counters, repeat *repeats) *transport {
	t := &transport{
		cfg: cfg, log: log, count: count, repeat: repeat,
		packets: make(chan *memberlist.Packet, packetsQueued), streams: make(chan net.Conn),
		conns: make(map[*stream]struct{}),
	}
	t.life, t.end = context.WithCancel(context.Background())
	dialer := &net.Dialer{}
	t.dial = func(ctx context.Context, addr string) (net.Conn, error) { return dialer.DialContext(ctx, "tcp", addr) }
	t.send = func(packet []byte, to netip.AddrPort) error {
		_, err := t.socket.WriteToUDPAddrPort(packet, to)
		return err
	}
	return t
}

// listen takes the port. Nothing is taken from it before run; Shutdown ends it.
func (t *transport) listen() error {
	ip, port, err := splitIP(t.cfg.Listen)
	if err == nil {
		t.listener, t.socket, err = bind(ip, port)
	}
	if err != nil {
		return fmt.Errorf("gossip: listen on %s: %w", t.cfg.Listen, err)
	}
	t.advertise, err = t.advertised()
	return err
}

// bind opens TCP and UDP on one port. With port 0 the kernel's choice for TCP may be
// taken for UDP, so it is asked a few times.
func bind(ip net.IP, port int) (*net.TCPListener, *net.UDPConn, error) {
	for try := 0; ; try++ {
		l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: ip, Port: port})
		if err != nil {
			return nil, nil, err
		}
		u, err := net.ListenUDP("udp", &net.UDPAddr{IP: ip, Port: l.Addr().(*net.TCPAddr).Port})
		if err == nil {
			return l, u, nil
		}
		l.Close()
		if port != 0 || try == 10 {
			return nil, nil, err
		}
	}
}

// advertised decides on the address that the others are told.
func (t *transport) advertised() (netip.AddrPort, error) {
	if t.cfg.Advertise != "" {
		a, err := netip.ParseAddrPort(t.cfg.Advertise)
		return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()), err
	}
	ip, err := t.cfg.Host()
	return netip.AddrPortFrom(ip, uint16(t.listener.Addr().(*net.TCPAddr).Port)), err
}

// Host returns the IP address at which the other nodes reach this one for gossip: that of
// advertise or of listen or, where that is a wildcard, a private address of this host.
func (c Config) Host() (netip.Addr, error) {
	addr := c.Listen
	if c.Advertise != "" {
		addr = c.Advertise
	}
	ip, _, err := splitIP(addr)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("gossip: %w", err)
	}
	if ip.IsUnspecified() {
		if ip = privateIP(); ip == nil {
			return netip.Addr{}, errors.New("gossip: this host has no private address that other nodes could be told: set advertise to the one at which they reach it, or listen to an address")
		}
	}
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap(), nil
}

// privateIP returns the first private address of this host (RFC 1918, RFC 4193); nil:
// there is none.
func privateIP() net.IP {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsPrivate() {
			return n.IP
		}
	}
	return nil
}

// run begins to take what comes; hello is set by then.
func (t *transport) run() {
	t.running.Go(t.accept)
	t.running.Go(t.receive)
}

func (t *transport) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return t.advertise.Addr().AsSlice(), int(t.advertise.Port()), nil
}

func (t *transport) PacketCh() <-chan *memberlist.Packet { return t.packets }
func (t *transport) StreamCh() <-chan net.Conn           { return t.streams }

func (t *transport) WriteTo(b []byte, addr string) (time.Time, error) {
	return t.WriteToAddress(b, memberlist.Address{Addr: addr})
}

func (t *transport) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	to, err := netip.ParseAddrPort(a.Addr)
	if err != nil {
		return time.Time{}, err
	}
	err = t.send(b, to)
	now := time.Now()
	if err == nil {
		t.count.packetsOut.Add(1)
		t.count.bytesOut.Add(uint64(len(b)))
	}
	return now, err
}

func (t *transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return t.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

// DialAddressTimeout returns a stream whose other end has agreed to it.
func (t *transport) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(t.life, min(timeout, t.cfg.HelloTimeout))
	defer cancel()
	conn, _, err := t.call(ctx, a.Addr, purposeStream)
	return conn, err
}

// call connects, says hello and returns the connection with the answer.
func (t *transport) call(ctx context.Context, addr string, why purpose) (*stream, answer, error) {
	raw, err := t.dial(ctx, addr)
	if err != nil {
		return nil, answer{}, err
	}
	conn := t.track(raw, false)
	if conn == nil {
		return nil, answer{}, net.ErrClosed
	}
	// The context's end, by time or because the caller gave up, ends the reading.
	stop := context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })
	a, err := t.hello.ask(conn, addr, why)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		conn.Close()
		return nil, answer{}, err
	}
	return conn, a, nil
}

// Shutdown ends every connection and returns when nothing of ours runs any more.
func (t *transport) Shutdown() error {
	t.mu.Lock()
	open := t.conns
	t.conns = nil
	t.mu.Unlock()
	if open == nil {
		return nil
	}
	t.end()
	if t.listener != nil {
		t.listener.Close()
		t.socket.Close()
	}
	for conn := range open {
		conn.Conn.Close()
	}
	t.running.Wait()
	return nil
}

// pause waits before a failing system call is tried again.
func (t *transport) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-t.life.Done():
	}
}

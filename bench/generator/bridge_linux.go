package generator

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/roostpush/roost/bench/target"
)

// bridge carries the connections of a wss:// target. crypto/tls needs a goroutine that
// blocks, so each connection has two, which copy between the TLS connection and one end
// of a socket pair; the other end is what the loop holds, and everything else stays as
// it is for ws://. It costs three descriptors and some 60 KB a connection, and one more
// hop, so wss:// is for thousands of connections and for latencies of milliseconds.
type bridge struct {
	target  *target.Target
	timeout time.Duration
	ctx     context.Context
	stop    context.CancelFunc
	running sync.WaitGroup
}

// bridged is one connection's far side. why is set before its end is closed.
type bridged struct{ why atomic.Pointer[string] }

// bridgeBufferBytes is the size of each goroutine's buffer: a few small messages.
const bridgeBufferBytes = 4 << 10

func newBridge(t *target.Target, timeout time.Duration) *bridge {
	b := &bridge{target: t, timeout: timeout}
	b.ctx, b.stop = context.WithCancel(context.Background())
	return b
}

// open begins a connection and returns the loop's end of it, at once.
func (b *bridge) open(node int, source netip.Addr) (fd int, far *bridged, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, nil, err
	}
	far = &bridged{}
	end := os.NewFile(uintptr(pair[1]), "bridge")
	b.running.Go(func() { b.carry(end, far, node, source) })
	return pair[0], far, nil
}

// close ends all connections and waits for their goroutines.
func (b *bridge) close() {
	b.stop()
	b.running.Wait()
}

// carry is one connection's life.
func (b *bridge) carry(end *os.File, far *bridged, node int, source netip.Addr) {
	defer end.Close()
	conn, err := b.dial(&b.target.Nodes[node], source)
	if err != nil {
		class := bridgeClass(err)
		far.why.Store(&class)
		return
	}
	defer context.AfterFunc(b.ctx, func() { _ = conn.NetConn().Close() })()
	back := make(chan struct{})
	go func() { // from the loop to the server
		defer close(back)
		copySmall(conn, end)
		_ = conn.NetConn().Close() // a reset, as for ws://: see dial
	}()
	if err := copySmall(end, conn); errors.Is(err, unix.ECONNRESET) {
		class := "reset"
		far.why.Store(&class)
	}
	_ = end.Close()
	_ = conn.NetConn().Close()
	<-back
}

// dial connects and shakes hands.
func (b *bridge) dial(n *target.Node, source netip.Addr) (*tls.Conn, error) {
	ctx, cancel := context.WithTimeout(b.ctx, b.timeout)
	defer cancel()
	dialer := net.Dialer{ControlContext: bindLate}
	if source.IsValid() {
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
	}
	raw, err := dialer.DialContext(ctx, "tcp", n.Dial)
	if err != nil {
		return nil, err
	}
	_ = raw.(*net.TCPConn).SetLinger(0)
	conn := tls.Client(raw, n.TLS)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, err
	}
	return conn, nil
}

// copySmall copies until either side ends.
func copySmall(to interface{ Write([]byte) (int, error) }, from interface{ Read([]byte) (int, error) }) error {
	buffer := make([]byte, bridgeBufferBytes)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}

// bridgeClass names an error of a connection in a few fixed words.
func bridgeClass(err error) string {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded):
		return "connect timeout"
	case errors.As(err, &unknown), errors.As(err, &name), errors.As(err, &certificate):
		return "tls: certificate"
	case dialClass(err) != "other":
		return dialClass(err)
	}
	return "tls: handshake"
}

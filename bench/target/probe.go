package target

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// Probe connects once to each node as connection 0, upgrades, and says goodbye, so that
// a wrong target costs one sentence and not a run. It returns the addresses that the run
// should use. It blocks until timeout at most, for each node.
func Probe(ctx context.Context, t *Target, timeout time.Duration) (addrs []string, err error) {
	for i := range t.Nodes {
		addr, err := t.probe(ctx, i, timeout)
		if err != nil {
			return nil, err
		}
		addrs = append(addrs, addr.String())
	}
	return addrs, nil
}

func (t *Target) probe(ctx context.Context, node int, timeout time.Duration) (netip.AddrPort, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	n := &t.Nodes[node]
	var dialer net.Dialer
	if len(t.Sources) > 0 {
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(t.Sources[0], 0))
	}
	conn, err := dialer.DialContext(ctx, "tcp", n.Dial)
	if err != nil {
		return netip.AddrPort{}, explainDial(n.Dial, err)
	}
	defer func() { conn.Close() }()
	addr := conn.RemoteAddr().(*net.TCPAddr).AddrPort()
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return addr, err
	}
	if n.TLS != nil {
		secure := tls.Client(conn, n.TLS)
		if err := secure.HandshakeContext(ctx); err != nil {
			return addr, fmt.Errorf("target: %s: TLS: %w%s", n.Dial, err, tlsHint(err))
		}
		conn = secure
	}
	if _, err := conn.Write(t.AppendRequest(nil, node, 0)); err != nil {
		return addr, fmt.Errorf("target: %s takes the connection but not the handshake: %w", n.Dial, err)
	}
	if err := readProbe(conn); err != nil {
		return addr, fmt.Errorf("target: %s: %s", n.Dial, Explain(err))
	}
	sayGoodbye(conn)
	return addr, nil
}

// tlsHint says what to do about a certificate.
func tlsHint(err error) string {
	var unknown x509.UnknownAuthorityError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &unknown):
		return "; pass its authority with --ca FILE, or --insecure to take any certificate"
	case errors.As(err, &record):
		return "; does it speak TLS at all? Else write ws://"
	}
	return ""
}

func readProbe(conn net.Conn) error {
	buffer := make([]byte, 0, AnswerBytesMax+1)
	for {
		n, err := conn.Read(buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		if head, bad := ReadAnswer(buffer); bad != nil {
			return bad
		} else if head > 0 {
			return nil
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && len(buffer) == 0:
			return errors.New("the server takes the connection and stays silent: it never answered the handshake")
		case errors.Is(err, io.EOF):
			return errors.New("the server closed the connection before it answered the handshake")
		case err != nil:
			return err
		}
	}
}

// sayGoodbye sends a masked close frame with code 1000 and waits for the server to
// end the connection, so that the run's own connection 0 displaces nobody.
func sayGoodbye(conn net.Conn) {
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := conn.Write([]byte{0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8}); err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, conn)
}

func explainDial(addr string, err error) error {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return fmt.Errorf("target: the name %q cannot be resolved: %w", dns.Name, err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("target: nothing listens at %s (connection refused): is the server up, and is the port right?", addr)
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("target: %s does not answer: a firewall, a wrong address, or a full accept queue", addr)
	}
	return fmt.Errorf("target: cannot connect to %s: %w", addr, err)
}

package kafka

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
)

// dialer makes the connections to brokers and remembers why the last one failed: the
// client only says that it ran out of time. The client calls it from its goroutines.
type dialer struct {
	dialer net.Dialer
	tls    *tls.Config // nil: in the clear

	mu       sync.Mutex
	failures uint64
	last     error
}

func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := d.connect(ctx, network, address)
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case err != nil && ctx.Err() == nil:
		d.failures++
		d.last = err
	case err == nil || d.last == nil:
		d.last = err
	default: // it ended with whoever asked; why the one before failed says more
	}
	return c, err
}

func (d *dialer) connect(ctx context.Context, network, address string) (net.Conn, error) {
	if d.tls == nil {
		return d.dialer.DialContext(ctx, network, address)
	}
	t := tls.Dialer{NetDialer: &d.dialer, Config: d.tls}
	return t.DialContext(ctx, network, address)
}

// failed returns how many dials failed, and why the last one did; nil: it did not.
func (d *dialer) failed() (n uint64, last error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failures, d.last
}

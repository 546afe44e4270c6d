package netpolltest

import (
	"time"

	"github.com/roostpush/roost/netpoll"
)

// Config is the server configuration that the cases assume: messages up to
// limitBytes, room to echo one while it is being read, no limit on frames that
// a test could meet, no ping of the server's own, and kernel buffers large
// enough that echoes of 16 MiB over loopback do not wait for delayed
// acknowledgements (with 64 KiB they move at 64 KiB each 40 ms).
func Config(limitBytes int) netpoll.Config {
	cfg := netpoll.Default()
	cfg.MessageBytesMax = limitBytes
	cfg.QueuedHardBytes = 4*limitBytes + 1<<20
	cfg.OutboxBytes = max(cfg.OutboxBytes, cfg.QueuedHardBytes)
	cfg.QueuedNodeBytes = max(cfg.QueuedNodeBytes, 8*cfg.QueuedHardBytes)
	cfg.FramesPerSecondMax = 1 << 30
	cfg.SendBufferBytes, cfg.ReceiveBufferBytes = 4<<20, 4<<20
	cfg.PingInterval = 24 * time.Hour
	return cfg
}

// Memory is a Stream to a server without a socket: each Feed is one read event
// and its answer is there at once. Time stands still unless Advance moves it.
type Memory struct {
	d   *netpoll.Detached
	out []byte
}

// NewMemory returns a fresh connection to a server with the handler.
func NewMemory(cfg netpoll.Config, h netpoll.Handler) (*Memory, error) {
	d, err := netpoll.NewDetached(cfg, h)
	return &Memory{d: d}, err
}

// Feed delivers p as one read event.
func (m *Memory) Feed(p []byte) { m.d.Feed(p); m.out = append(m.out, m.d.Output()...) }

// EOF lets the client end its side.
func (m *Memory) EOF() { m.d.EOF(); m.out = append(m.out, m.d.Output()...) }

// Advance moves the server's clock.
func (m *Memory) Advance(dt time.Duration) { m.d.Advance(dt); m.out = append(m.out, m.d.Output()...) }

// Await returns what there is: nothing more would come by waiting.
func (m *Memory) Await(int) ([]byte, bool) { return m.out, m.d.Closed() }

// Close does nothing: there is no socket.
func (m *Memory) Close() {}

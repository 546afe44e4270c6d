package protocol

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

const request = "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"

// admitted lets a connection in without asking who it is: what follows is the gate's.
type admitted struct {
	netpoll.Echo
	g      *Gate
	s      *session.Session
	alarms int
}

func (h *admitted) Open(c *netpoll.Conn) { c.SetContext(h.s); h.g.setAlarm(c, h.s) }

func (h *admitted) Alarm(c *netpoll.Conn) { h.alarms++; h.g.Alarm(c) }

func (h *admitted) Message(c *netpoll.Conn, op netpoll.Op, p []byte) { h.g.Message(c, op, p) }

func (h *admitted) connect(t *testing.T) *netpoll.Detached {
	t.Helper()
	d, err := netpoll.NewDetached(netpoll.Default(), h)
	if err != nil {
		t.Fatal(err)
	}
	d.Feed([]byte(request))
	d.Output()
	return d
}

// say is a masked text frame with a zero key.
func say(text string) []byte {
	return append([]byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}, text...)
}

func TestClockSetBackRefusesNobody(t *testing.T) {
	g := newGCRA(20000, 20000)
	now := time.Now().UnixNano()
	for range 5 {
		g.take(now)
	}
	for i := range int64(600) {
		if !g.take(now - int64(time.Hour) + i*1e9) {
			t.Fatalf("refused %d s after the clock was set back by an hour", i)
		}
	}
}

func TestSteadyFlooderIsClosed(t *testing.T) {
	now := time.Unix(1e9, 0)
	g := &Gate{cfg: Default(), Parts: Parts{Now: func() time.Time { return now }}}
	d := (&admitted{g: g, s: session.New("a", "b")}).connect(t)
	for i := range 60 * 900 { // eighteen times the rate, for a minute
		now = now.Add(time.Second / 900)
		if i%225 == 0 {
			d.Advance(250 * time.Millisecond)
		}
		d.Feed(say(`{"type":"ping"}`))
		if out := d.Output(); bytes.Contains(out, []byte{CloseRate >> 8, CloseRate & 0xff}) {
			return
		}
	}
	t.Fatalf("still there after %d refusals", g.counters.rateRefused.Load())
}

func TestDistantExpiryRaisesNoAlarm(t *testing.T) {
	cfg := Default()
	cfg.Lifetime = false
	g := &Gate{cfg: cfg, Parts: Parts{Now: time.Now}}
	s := session.New("a", "b")
	s.OpenedMS = time.Now().UnixMilli()
	s.ExpiresMS = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	h := &admitted{g: g, s: s}
	h.connect(t).Advance(time.Minute)
	if h.alarms != 0 {
		t.Fatalf("%d alarms in a minute", h.alarms)
	}
}

type blockedDirectory struct{ open chan struct{} }

func (d blockedDirectory) Devices(string, int) ([]wire.DeviceInfo, error) {
	<-d.open
	return nil, errors.New("closed")
}

type noReactor struct{}

func (noReactor) Close(netpoll.ConnID, uint16, string)     {}
func (noReactor) Do(netpoll.ConnID, func(c *netpoll.Conn)) {}
func (noReactor) Resume(netpoll.ConnID)                    {}

// TestDeviceListsKeepNobodyOut blocks the store under questions for device lists: tokens
// must still be verified, and one device has one question only.
func TestDeviceListsKeepNobodyOut(t *testing.T) {
	cfg := Default()
	cfg.PoolQueue = 10
	dir := blockedDirectory{make(chan struct{})}
	g := NewGate(cfg, Parts{Now: time.Now, Directory: dir})
	g.Attach(noReactor{})
	defer g.Close()
	defer close(dir.open)
	for range 40 {
		d := (&admitted{g: g, s: session.New("a", "b")}).connect(t)
		for range 3 {
			d.Feed(say(`{"type":"devices","id":1}`))
		}
		if n := bytes.Count(d.Output(), []byte(`"code":"overloaded"`)); n < 2 {
			t.Fatalf("%d of 3 questions at once were refused", n)
		}
	}
	done := make(chan struct{})
	if !g.tokens.do(func() { close(done) }) {
		t.Fatal("device lists fill the pool that tokens need")
	}
	<-done
}

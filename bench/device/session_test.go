package device

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is a server that says what a test wants to whoever upgrades.
func node(t *testing.T, say func(conn net.Conn)) (public string, queries chan string) {
	queries = make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, _, err := ws.UpgradeHTTP(r, w)
		if err != nil {
			return
		}
		defer conn.Close()
		queries <- r.URL.RawQuery
		say(conn)
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String(), queries
}

// readFrame reads what a session has written, which is small.
func readFrame(r io.Reader) (f ws.Frame, err error) {
	if f.Header, err = ws.ReadHeader(r); err != nil {
		return f, err
	}
	f.Payload = make([]byte, f.Header.Length)
	_, err = io.ReadFull(r, f.Payload)
	return f, err
}

func TestSession(t *testing.T) {
	heard := make(chan string, 4)
	public, queries := node(t, func(conn net.Conn) {
		// hello, a ping and a message at once, some of it with the answer to the upgrade.
		for _, f := range []ws.Frame{
			ws.NewTextFrame([]byte(`{"type":"hello","node":"n1","missed":3}`)), ws.NewPingFrame([]byte("alive?")),
			ws.NewTextFrame([]byte(`{"type":"message","id":"m\"1","ack":true,"payload":{"a":[1]}}`)),
		} {
			_ = ws.WriteFrame(conn, f)
		}
		for range 2 {
			f, err := readFrame(conn)
			if err != nil || !f.Header.Masked {
				heard <- "no masked frame"
				return
			}
			heard <- string(ws.UnmaskFrame(f).Payload)
		}
		_ = ws.WriteFrame(conn, ws.NewCloseFrame(ws.NewCloseFrameBody(4003, `{"reconnect_ms":1500}`)))
		f, _ := readFrame(conn)
		code, _ := ws.ParseCloseFrameData(ws.UnmaskFrame(f).Payload)
		if code == 4003 {
			heard <- "goodbye"
		}
	})
	s, err := Open(t.Context(), public, "a&b", "the device", 16)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := <-queries; got != "account=a%26b&device=the+device" {
		t.Errorf("it asked with %s", got)
	}
	if s.Hello.Node != "n1" || s.Hello.Missed != 3 {
		t.Errorf("hello %+v", s.Hello)
	}
	f, err := s.Next()
	if err != nil || f.Type != "message" || f.ID != `m"1` || !f.Ack || string(f.Payload) != `{"a":[1]}` {
		t.Fatalf("%+v, %v", f, err)
	}
	if err := s.Ack(f.ID); err != nil {
		t.Fatal(err)
	}
	if pong, ack := <-heard, <-heard; pong != "alive?" || ack != `{"type":"ack","ids":["m\"1"]}` {
		t.Errorf("the node heard %q and %q", pong, ack)
	}
	var closed *Closed
	if _, err := s.Next(); !errors.As(err, &closed) || closed.Code != 4003 || closed.Reconnect != 1500*time.Millisecond {
		t.Errorf("the end is %v", err)
	}
	if got := <-heard; got != "goodbye" {
		t.Errorf("the close was answered with %q", got)
	}
}

func TestASessionThatDoesNotBegin(t *testing.T) {
	for name, c := range map[string]struct {
		say  func(conn net.Conn)
		says string
	}{
		"no hello":    {func(conn net.Conn) { _ = wsutil.WriteServerText(conn, []byte(`{"type":"message"}`)) }, "not hello"},
		"no JSON":     {func(conn net.Conn) { _ = wsutil.WriteServerText(conn, []byte(`hello`)) }, "no JSON"},
		"fragments":   {func(conn net.Conn) { _ = ws.WriteFrame(conn, ws.NewFrame(ws.OpText, false, []byte(`{}`))) }, "no node sends"},
		"a goodbye":   {func(conn net.Conn) { _ = ws.WriteFrame(conn, ws.NewCloseFrame(ws.NewCloseFrameBody(4006, ""))) }, "4006"},
		"just an end": {func(net.Conn) {}, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			public, _ := node(t, c.say)
			if s, err := Open(t.Context(), public, "a", "d", 512); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%+v, %v", s, err)
			}
		})
	}
}

// A node that stays silent holds nobody up for longer than the caller wants.
func TestOpenEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	gone := make(chan struct{})
	public, _ := node(t, func(conn net.Conn) {
		cancel()
		_, _ = conn.Read(make([]byte, 1))
		close(gone)
	})
	if s, err := Open(ctx, public, "a", "d", 512); !errors.Is(err, context.Canceled) {
		t.Errorf("%+v, %v", s, err)
	}
	<-gone
}

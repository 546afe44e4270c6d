package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/roostpush/roost/cmd/roost/internal/config"
	"github.com/roostpush/roost/session/auth"
)

// testNode is a whole node in this process: real sockets, a real store.
type testNode struct {
	t        testing.TB
	public   string
	internal string
	node     *node
	log      *testLog
	stop     func() error
}

// startNode runs a node on ports of the kernel's choice until the test ends.
func startNode(t testing.TB, change func(*config.Config)) *testNode {
	t.Helper()
	return startNodeAt(t, time.Now, change)
}

// startNodeAt runs one with a clock of its own.
func startNodeAt(t testing.TB, now func() time.Time, change func(*config.Config)) *testNode {
	t.Helper()
	cfg := config.Default()
	cfg.Node = "n1"
	cfg.Listen, cfg.Internal = "127.0.0.1:0", "127.0.0.1:0"
	cfg.Data = filepath.Join(t.TempDir(), "data")
	cfg.Store.Directory = cfg.Data
	cfg.Auth.Mode = auth.ModeNone
	cfg.Drain.ReadyDelay, cfg.Drain.Over, cfg.Drain.Grace = 0, 100*time.Millisecond, 100*time.Millisecond
	if change != nil {
		change(&cfg)
	}
	log := new(testLog)
	n, err := newNode(context.Background(), cfg, slog.New(slog.NewTextHandler(log, nil)), now)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.reactor.Listen(cfg.Listen); err != nil {
		t.Fatal(err)
	}
	internal, err := net.Listen("tcp", cfg.Internal)
	if err != nil {
		t.Fatal(err)
	}
	failed := n.start(internal)
	if n.cluster != nil {
		if err := n.cluster.Start(context.Background(), internal.Addr().String(), n.reactor.Addr().String()); err != nil {
			t.Fatal(err)
		}
	}
	tn := &testNode{t: t, node: n, log: log, public: n.reactor.Addr().String(), internal: internal.Addr().String()}
	left := false
	tn.stop = func() error {
		if left {
			return nil
		}
		left = true
		return n.leave()
	}
	t.Cleanup(func() {
		if err := tn.stop(); err != nil {
			t.Errorf("leave: %v", err)
		}
		select {
		case err := <-failed:
			t.Errorf("a listener failed: %v", err)
		default:
		}
	})
	return tn
}

// device is a plain WebSocket client.
type testDevice struct {
	t    testing.TB
	conn net.Conn
	r    io.Reader
}

func (n *testNode) url(account, device string) string {
	return fmt.Sprintf("ws://%s/ws?account=%s&device=%s", n.public, account, device)
}

// patientConn gives each read and each write its own time: a device that stays for a whole
// test must not be cut because the test is long, or the machine busy.
type patientConn struct{ net.Conn }

func (c patientConn) Read(b []byte) (int, error) {
	_ = c.SetReadDeadline(time.Now().Add(patience))
	return c.Conn.Read(b)
}

func (c patientConn) Write(b []byte) (int, error) {
	_ = c.SetWriteDeadline(time.Now().Add(patience))
	return c.Conn.Write(b)
}

// dialPatiently dials like net.Dialer.
func dialPatiently(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return patientConn{c}, nil
}

// connect opens a device and takes its hello.
func (n *testNode) connect(account, device string) *testDevice {
	n.t.Helper()
	d := n.dial(ws.Dialer{}, n.url(account, device))
	if hello := d.read(); hello["type"] != "hello" || hello["account"] != account || hello["device"] != device {
		n.t.Fatalf("hello: %v", hello)
	}
	return d
}

func (n *testNode) dial(dialer ws.Dialer, url string) *testDevice {
	n.t.Helper()
	dialer.NetDial = dialPatiently
	conn, buffered, _, err := dialer.Dial(context.Background(), url)
	if err != nil {
		n.t.Fatalf("%s: %v", url, err)
	}
	d := &testDevice{t: n.t, conn: conn, r: conn}
	if buffered != nil {
		d.r = buffered
	}
	n.t.Cleanup(func() { conn.Close() })
	return d
}

// frame reads one data frame; pings are passed over.
func (d *testDevice) frame() ([]byte, ws.OpCode, error) {
	return wsutil.ReadServerData(struct {
		io.Reader
		io.Writer
	}{d.r, d.conn})
}

func (d *testDevice) read() map[string]any {
	d.t.Helper()
	text, _, err := d.frame()
	if err != nil {
		d.t.Fatalf("read: %v", err)
	}
	var v map[string]any
	if err := json.Unmarshal(text, &v); err != nil {
		d.t.Fatalf("%s: %v", text, err)
	}
	return v
}

func (d *testDevice) expect(want map[string]any) map[string]any {
	d.t.Helper()
	got := d.read()
	for k, v := range want {
		if fmt.Sprint(got[k]) != fmt.Sprint(v) {
			d.t.Fatalf("got %v, want %s = %v", got, k, v)
		}
	}
	return got
}

func (d *testDevice) say(text string) {
	d.t.Helper()
	if err := wsutil.WriteClientText(d.conn, []byte(text)); err != nil {
		d.t.Fatal(err)
	}
}

// closed reads up to the close and returns its code and reason.
func (d *testDevice) closed() (int, string) {
	d.t.Helper()
	for {
		_, _, err := d.frame()
		var closed wsutil.ClosedError
		if errors.As(err, &closed) {
			return int(closed.Code), closed.Reason
		}
		if err != nil {
			d.t.Fatalf("no close but %v", err)
		}
	}
}

// push posts a message and returns status and body.
func (n *testNode) push(body string) (int, string) {
	n.t.Helper()
	resp, err := http.Post("http://"+n.internal+"/v1/messages", "application/json", strings.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func (n *testNode) get(url string) (int, string) {
	n.t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// flush waits until what has happened so far can be read from the store.
func (n *testNode) flush() {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := n.node.store.Flush(ctx); err != nil {
		n.t.Fatal(err)
	}
}

// eventually waits until ok holds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

func (n *testNode) eventually(what string, ok func() bool) {
	n.t.Helper()
	eventually(n.t, what, ok)
}

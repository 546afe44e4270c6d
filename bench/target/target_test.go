package target

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTemplate(t *testing.T) {
	for _, c := range []struct {
		name, text string
		i          int64
		want       string
	}{
		{"plain", "abc", 5, "abc"},
		{"number", "a{i}b", 5, "a5b"},
		{"alone", "{i}", 123456789012, "123456789012"},
		{"quotient and remainder", "acc-{i/4}/dev-{i%4}", 11, "acc-2/dev-3"},
		{"brace", "{{i}", 5, "{i}"},
		{"empty", "", 5, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			template, err := ParseTemplate(c.text, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := template.Text(c.i); got != c.want {
				t.Fatalf("got %q, want %q", got, c.want)
			}
		})
	}
	for _, bad := range []string{"{", "{i", "{j}", "{i/0}", "{i%}", "{i/-1}", "a{}b"} {
		if _, err := ParseTemplate(bad, nil); err == nil {
			t.Errorf("template %q was accepted", bad)
		}
	}
}

func TestTemplateAllocatesNothing(t *testing.T) {
	template, _ := ParseTemplate("GET /ws?account=acc-{i/3}&device=dev-{i%3}", nil)
	buffer := make([]byte, 0, 256)
	if n := testing.AllocsPerRun(100, func() { buffer = template.Append(buffer[:0], 987654) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func TestParseSources(t *testing.T) {
	for _, c := range []struct {
		text  string
		count int
		last  string
	}{
		{"", 0, ""},
		{"127.0.0.1", 1, "127.0.0.1"},
		{"127.0.1.1-127.0.1.250", 250, "127.0.1.250"},
		{"127.0.1.250-127.0.2.5, 10.0.0.1", 13, "10.0.0.1"},
		{"::1", 1, "::1"},
	} {
		all, err := ParseSources(c.text)
		if err != nil || len(all) != c.count {
			t.Errorf("%q: %d addresses, error %v; want %d", c.text, len(all), err, c.count)
			continue
		}
		if c.count > 0 && all[c.count-1].String() != c.last {
			t.Errorf("%q ends with %v, want %s", c.text, all[c.count-1], c.last)
		}
	}
	for _, bad := range []string{"nonsense", "127.0.0.9-127.0.0.1", "127.0.0.1-::1", "127.0.0.1-", "10.0.0.0-10.255.0.0"} {
		if _, err := ParseSources(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// In a cluster each connection goes to a node of its own, with that node's path.
func TestSeveralNodes(t *testing.T) {
	spec := Spec{URL: "ws://a:1/ws", Also: []string{"ws://b/deep"}, Device: "d{i}", Addrs: []string{"10.0.0.1:1", "10.0.0.2:80"}}
	target, err := spec.Compile(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"GET /ws?device=d0 HTTP/1.1\r\nHost: a:1\r\n", "GET /deep?device=d1 HTTP/1.1\r\nHost: b\r\n", "GET /ws?device=d2 "} {
		node := target.NodeOf(int64(i))
		if got := string(target.AppendRequest(nil, node, int64(i))); !strings.HasPrefix(got, want) || target.Nodes[node].Dial != spec.Addrs[node] {
			t.Errorf("connection %d goes to %s with %q", i, target.Nodes[node].Dial, got)
		}
	}
	a, b := serveOnce(t, upgradeOne), serveOnce(t, upgradeOne)
	if target, err = (Spec{URL: "ws://" + a, Also: []string{"ws://" + b}}).Compile(time.Now()); err != nil {
		t.Fatal(err)
	}
	if addrs, err := Probe(t.Context(), target, time.Minute); err != nil || !slices.Equal(addrs, []string{a, b}) {
		t.Errorf("%v, %v", addrs, err)
	}
	for _, bad := range []Spec{
		{URL: "ws://a", Also: []string{"wss://b"}}, {URL: "ws://a", Also: []string{"b"}}, {URL: "ws://a", Also: make([]string, NodesMax)},
	} {
		if _, err := bad.Compile(time.Now()); err == nil {
			t.Errorf("%.100v was accepted", bad)
		}
	}
}

// upgradeOne answers one handshake.
func upgradeOne(c net.Conn) {
	if _, err := c.Read(make([]byte, 4096)); err == nil {
		_, _ = c.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + Accept + "\r\n\r\n"))
		_, _ = c.Read(make([]byte, 64))
	}
}

// The handshake must be read by Go's own HTTP server as it was meant.
func TestRequestIsWhatAnHTTPServerReads(t *testing.T) {
	for _, c := range []struct {
		name string
		spec Spec
		want map[string]string
	}{
		{"roost default", Spec{URL: "ws://h:1/ws", Account: "acc-{i}", Device: "dev-{i}"},
			map[string]string{"uri": "/ws?account=acc-7&device=dev-7", "host": "h:1"}},
		{"query kept", Spec{URL: "ws://h:1/ws?x=1", Account: "a {i}"},
			map[string]string{"uri": "/ws?x=1&account=a+7"}},
		{"template in the path", Spec{URL: "ws://h/room-{i%5}#f"}, map[string]string{"uri": "/room-2", "host": "h"}},
		{"headers", Spec{URL: "ws://h", Headers: []string{"X-Id: n{i}"}, Subprotocol: []string{"a", "b"}},
			map[string]string{"uri": "/", "X-Id": "n7", "Sec-WebSocket-Protocol": "a, b"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			target, err := c.spec.Compile(time.Now())
			if err != nil {
				t.Fatal(err)
			}
			r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(target.AppendRequest(nil, 0, 7))))
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{"uri": r.RequestURI, "host": r.Host}
			for k, want := range c.want {
				if _, ok := got[k]; !ok {
					got[k] = r.Header.Get(k)
				}
				if got[k] != want {
					t.Errorf("%s = %q, want %q", k, got[k], want)
				}
			}
		})
	}
}

func TestBadSpecs(t *testing.T) {
	for _, s := range []Spec{
		{URL: "ws://h/{x}"}, {URL: "ws://h", Account: "{"}, {URL: "ws://h", Headers: []string{"nocolon"}},
		{URL: "ws://h", Headers: []string{"A: b\r\nC: d"}}, {URL: "ws://h", Sources: "x"},
	} {
		if _, err := s.Compile(time.Now()); err == nil {
			t.Errorf("%+v was accepted", s)
		}
	}
}

func TestTokensVerifyWithAnotherLibrary(t *testing.T) {
	spec := Spec{URL: "ws://h/ws", Account: `a"{i}`, Device: "d{i}", TokenSecret: "s3cret"}
	target, err := spec.Compile(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(target.AppendRequest(nil, 0, 42))))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	token, err := jwt.Parse(text, func(*jwt.Token) (any, error) { return []byte("s3cret"), nil },
		jwt.WithValidMethods([]string{"HS256"}), jwt.WithExpirationRequired())
	if err != nil {
		t.Fatal(err)
	}
	claims := token.Claims.(jwt.MapClaims)
	if claims["sub"] != `a"42` || claims["device"] != "d42" {
		t.Fatalf("claims %v", claims)
	}
	if strings.Contains(r.RequestURI, "account") {
		t.Fatal("the identity stands in the query although a token carries it")
	}
	if strings.Contains(fmt.Sprint(spec.Redacted()), "s3cret") {
		t.Fatal("Redacted shows the secret")
	}
}

// Cut anywhere, the head must be asked for more; whole, it must be understood.
func TestReadAnswerAtEverySplit(t *testing.T) {
	good := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nconnection: Upgrade\r\nSEC-WebSocket-accept:  " + Accept + "\r\n\r\n"
	for i := range len(good) {
		if n, err := ReadAnswer([]byte(good[:i])); n != 0 || err != nil {
			t.Fatalf("first %d bytes: %d, %v", i, n, err)
		}
	}
	if n, err := ReadAnswer([]byte(good + "\x81\x00")); n != len(good) || err != nil {
		t.Fatalf("whole: %d, %v", n, err)
	}
	for text, want := range map[string]error{
		"SSH-2.0-OpenSSH\r\n": ErrNotHTTP, "x": ErrNotHTTP, "HTTP/1.1 xyz\r\n\r\n": ErrNotHTTP, "HTTP/1.1\r\n\r\n": ErrNotHTTP,
		"HTTP/1.1 200 OK\r\n\r\n": StatusError(200), "HTTP/1.0 503 x\r\n\r\n": StatusError(503),
		"HTTP/1.1 101 x\r\nSec-WebSocket-Accept: wrong\r\n\r\n": ErrNoAccept, "HTTP/1.1 101 x\r\n\r\n": ErrNoAccept,
		"HTTP/1.1 101 x\r\nA: " + strings.Repeat("b", AnswerBytesMax): ErrTooLong,
	} {
		if _, err := ReadAnswer([]byte(text)); err != want {
			t.Errorf("%.30q: %v, want %v", text, err, want)
		}
	}
}

// Each kind of wrong target gets the sentence that helps.
func TestProbeExplains(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
	defer plain.Close()
	locked := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(401) }))
	defer locked.Close()
	const answers, silence = time.Minute, 2 * time.Second // what never comes is waited for in vain
	for _, c := range []struct {
		name  string
		addr  string
		wants string
		wait  time.Duration
	}{
		{"plain HTTP", plain.Listener.Addr().String(), "HTTP 200", answers},
		{"token wanted", locked.Listener.Addr().String(), "--token-secret", answers},
		{"garbage", serveOnce(t, func(c net.Conn) { _, _ = c.Write([]byte("220 mail ready\r\n")) }), "does not speak HTTP", answers},
		{"closes", serveOnce(t, func(c net.Conn) { _, _ = c.Read(make([]byte, 4096)) }), "closed the connection", answers},
		{"silent", serveOnce(t, func(c net.Conn) {
			buffer := make([]byte, 4096)
			for {
				if _, err := c.Read(buffer); err != nil {
					return
				}
			}
		}), "silent", silence},
		{"nothing there", boundPort(t), "nothing listens", answers},
		{"no such name", "no-such-host.invalid:80", "cannot be resolved", silence},
	} {
		t.Run(c.name, func(t *testing.T) {
			target, err := Spec{URL: "ws://" + c.addr + "/"}.Compile(time.Now())
			if err != nil {
				t.Fatal(err)
			}
			_, err = Probe(context.Background(), target, c.wait)
			if err == nil || !strings.Contains(err.Error(), c.wants) {
				t.Fatalf("error %v does not say %q", err, c.wants)
			}
		})
	}
}

func serveOnce(t *testing.T, serve func(net.Conn)) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if c, err := l.Accept(); err == nil {
			serve(c)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

// boundPort returns an address where nothing listens and, while the test runs, no other
// process can begin to: its port is bound.
func boundPort(t *testing.T) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", at.(*unix.SockaddrInet4).Port)
}

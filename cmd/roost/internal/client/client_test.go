package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/roostpush/roost/session"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve answers every request with one handler, and cleans up.
func serve(t *testing.T, handler http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(handler)
	c, err := New(server.URL, "secret")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); server.Close() })
	return c
}

func TestPush(t *testing.T) {
	var got map[string]any
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "POST" || r.URL.Path != "/v1/messages" || r.Header.Get("Authorization") != "Bearer secret" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("got %s %s %v", r.Method, r.URL, r.Header)
		}
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		io.WriteString(w, `{"id":"n.1.1","outcomes":[{"device":"phone","outcome":"written","node":"n"}]}`)
	})
	text := ""
	a, err := c.Push(t.Context(), Push{To: To{Account: "alice", Device: "phone"}, Text: &text, Wait: "acked", TimeoutMS: 10})
	if err != nil {
		t.Fatal(err)
	}
	if want := (Answer{ID: "n.1.1", Outcomes: []Outcome{{Device: "phone", Outcome: "written", Node: "n"}}}); !reflect.DeepEqual(a, want) {
		t.Errorf("got %+v", a)
	}
	want := map[string]any{"to": map[string]any{"account": "alice", "device": "phone"}, "text": "", "wait": "acked", "timeout_ms": 10.0}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("sent %v, want %v", got, want)
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		header string
		body   string
		want   string
	}{
		{"a problem", 422, "", `{"title":"Unprocessable Entity","status":422,"code":"ttl_unsupported","detail":"ttl_ms is not supported"}`, "ttl_ms is not supported (422 ttl_unsupported)"},
		{"no token", 401, "", `{"code":"unauthorized","detail":"a token is missing"}`, "a token is missing (401 unauthorized): give the service token with --token or ROOST_API_TOKEN"},
		{"busy", 503, "2", `{"code":"busy","detail":"full"}`, "full (503 busy): try again after 2 s"},
		{"not a node", 404, "", "404 page not found\n", "404 page not found (404): HOST does not look like a node's internal API; give it with --api or ROOST_API"},
		{"nothing", 500, "", "", "Internal Server Error (500)"},
		{"a title only", 502, "", `{"title":"Bad Gateway"}`, "Bad Gateway (502)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			host := ""
			client := serve(t, func(w http.ResponseWriter, r *http.Request) {
				host = r.Host
				if c.header != "" {
					w.Header().Set("Retry-After", c.header)
				}
				w.WriteHeader(c.status)
				io.WriteString(w, c.body)
			})
			err := client.Disconnect(t.Context(), session.Address{Account: "a", Device: "d"})
			if err == nil {
				t.Fatal("no error")
			}
			if got := strings.ReplaceAll(err.Error(), host, "HOST"); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestOutcomesOfAProblem(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(410)
		io.WriteString(w, `{"code":"device_offline","detail":"not connected","id":"x","outcomes":[{"device":"phone","outcome":"offline"}]}`)
	})
	_, err := c.Push(t.Context(), Push{})
	var problem *Error
	if !errors.As(err, &problem) || problem.Status != 410 || len(problem.Answer.Outcomes) != 1 {
		t.Errorf("got %#v", err)
	}
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

func TestConnectionRefused(t *testing.T) {
	base := "http://" + boundPort(t)
	c, err := New(base, "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Devices(t.Context(), "alice")
	if want := "nothing listens at " + base + ": is the node running (roost serve)? another one is given with --api or ROOST_API"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestBaseMustBeAURL(t *testing.T) {
	for _, base := range []string{"", "127.0.0.1:8081", "ftp://x", "http://", "http://%"} {
		if _, err := New(base, ""); err == nil {
			t.Errorf("%q was taken", base)
		}
	}
}

// TestStreamIsFullDuplex sends a line only when the result of the line before
// has arrived: a client that gathers either side would wait for ever.
func TestStreamIsFullDuplex(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		if err := control.EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		w.WriteHeader(200)
		control.Flush()
		buffer := make([]byte, 100)
		for {
			n, err := r.Body.Read(buffer)
			if n > 0 {
				w.Write(buffer[:n])
				control.Flush()
			}
			if err != nil {
				return
			}
		}
	})
	reader, writer := io.Pipe()
	results := make(chan string)
	go func() {
		defer writer.Close()
		for _, line := range []string{"one\n", "two\n", "three\n"} {
			io.WriteString(writer, line)
			if got := <-results; got+"\n" != line {
				t.Errorf("got %q for %q", got, line)
			}
		}
	}()
	err := c.Stream(t.Context(), reader, func(line []byte) error { results <- string(line); return nil })
	if err != nil {
		t.Fatal(err)
	}
}

func TestStreamCutShort(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "{}\n")
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	err := c.Stream(context.Background(), strings.NewReader(""), func([]byte) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "results are missing") {
		t.Errorf("got %v", err)
	}
}

func TestDevicesEscapesNames(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if got, want := r.URL.EscapedPath(), "/v1/accounts/a%3Fb%25/devices"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		io.WriteString(w, `{"account":"a?b%","devices":[{"device":"d","online":true}],"truncated":true}`)
	})
	list, err := c.Devices(t.Context(), "a?b%")
	if err != nil || len(list.Devices) != 1 || !list.Truncated {
		t.Errorf("got %+v, %v", list, err)
	}
}

func TestAnswerThatIsNoJSON(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<html>") })
	if _, err := c.Devices(t.Context(), "a"); err == nil || !strings.Contains(err.Error(), "is not what a node says") {
		t.Errorf("got %v", err)
	}
}

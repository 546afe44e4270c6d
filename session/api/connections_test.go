package api

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
)

// TestConnections is @connections without signatures, as on loopback without key
// pairs.
func TestConnections(t *testing.T) {
	n := newTestNode(t, nil)
	id := func(name string, b behaviour) string { return testOrigin.Text(n.connect("a", name, b).Number) }
	ok, full, broken := id("ok", takes), id("full", overfull), id("broken", breaks)
	live := n.reg.Lookup("a", "ok")
	n.records.add(session.Record{Address: live.Address, Session: ok, SeenMS: live.OpenedMS + 5000, Remote: "192.0.2.1:4711", UserAgent: "ws"})
	_, number, _ := session.ParseID(ok)
	older := session.Origin{Node: "n1", Epoch: 6}.Text(number)
	for _, tc := range []struct {
		name, method, id, body string
		status                 int
		code, amazon           string
	}{
		{"post", "POST", ok, "hello", 200, "", ""},
		{"full", "POST", full, "x", 429, codeOverloaded, "LimitExceededException"},
		{"broken", "POST", broken, "x", 410, codeConnectionGone, "GoneException"},
		{"too large", "POST", ok, strings.Repeat("x", connectionBytesMax+1), 413, codePayloadTooLarge, "PayloadTooLargeException"},
		{"another epoch", "POST", older, "x", 410, codeConnectionGone, "GoneException"},
		{"another node", "GET", "n2.7." + ok[5:], "", 410, codeConnectionGone, "GoneException"},
		{"ended", "GET", testOrigin.Text(1 << 60), "", 410, codeConnectionGone, "GoneException"},
		{"not an id", "DELETE", "L0SM9cOFvHcCIhw=", "", 410, codeConnectionGone, "GoneException"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, prefix := range []string{"/@connections/", "/%40connections/"} {
				w := n.call(tc.method, prefix+tc.id, tc.body)
				if w.Code != tc.status || w.Header().Get("X-Amzn-Errortype") != tc.amazon {
					t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
				}
				if tc.code != "" {
					a := decode[struct{ Code, Message, Detail string }](t, w.Body.Bytes())
					if a.Code != tc.code || a.Message == "" || a.Message != a.Detail {
						t.Errorf("%s", w.Body)
					}
				}
			}
		})
	}
	if op, frame := n.devices.last(live); op != netpoll.OpText || !strings.Contains(frame, `"text":"hello"`) {
		t.Errorf("%d %s", op, frame)
	}
	n.call("POST", "/@connections/"+ok, "\xff\x00")
	if _, frame := n.devices.last(live); !strings.Contains(frame, `"base64":"/wA="`) {
		t.Errorf("bytes arrived as %s", frame)
	}
	n.call("POST", "/@connections/"+ok, `{"a": 1}`, "Content-Type", "application/json")
	if _, frame := n.devices.last(live); !strings.Contains(frame, `"payload":{"a": 1}`) {
		t.Errorf("JSON arrived as %s", frame)
	}
	w := n.call("GET", "/@connections/"+ok, "")
	if want := `{"connectedAt":"2023-11-14T22:13:20.000Z","identity":{"sourceIp":"192.0.2.1","userAgent":"ws"},"lastActiveAt":"2023-11-14T22:13:25.000Z"}` + "\n"; w.Body.String() != want {
		t.Errorf("GET: %s", w.Body)
	}
	if w := n.call("DELETE", "/@connections/"+ok, ""); w.Code != 204 || n.devices.conns[live.Conn].closed != 4007 {
		t.Errorf("DELETE: %d, closed with %d", w.Code, n.devices.conns[live.Conn].closed)
	}
}

// TestConnectionThatTakesNothing waits for its short time, and for nothing else.
func TestConnectionThatTakesNothing(t *testing.T) {
	n := newTestNode(t, func(c *Config) { c.Push.Timeout = c.Stream.GatherTime + 1e7 })
	quiet := testOrigin.Text(n.connect("a", "quiet", stuck).Number)
	w := n.call("POST", "/@connections/"+quiet, "x")
	if w.Code != 504 || w.Header().Get("X-Amzn-Errortype") != "InternalServerErrorException" || !strings.Contains(w.Body.String(), codeDeliveryTimeout) {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}

// TestConnectionsAccess: who may call @connections under which configuration.
func TestConnectionsAccess(t *testing.T) {
	const key, token = "AKIDEXAMPLE:secret-of-it", "0123456789abcdef"
	for _, tc := range []struct {
		name   string
		keys   []string
		tokens []string
		auth   string
		status int
		code   string
	}{
		{"open on loopback", nil, nil, "", 410, codeConnectionGone},
		{"keys, unsigned", []string{key}, nil, "", 403, codeSigV4Missing},
		{"keys, bearer", []string{key}, nil, "Bearer " + token, 403, codeSigV4Missing},
		{"keys, nonsense", []string{key}, nil, "AWS4-HMAC-SHA256 x", 403, codeSigV4Malformed},
		{"tokens, none", nil, []string{token}, "", 401, codeUnauthorized},
		{"tokens, right", nil, []string{token}, "Bearer " + token, 410, codeConnectionGone},
		{"tokens, signed", nil, []string{token}, "AWS4-HMAC-SHA256 x", 403, codeSigV4UnknownKey},
		{"both, none", []string{key}, []string{token}, "", 401, codeUnauthorized},
		{"both, right token", []string{key}, []string{token}, "Bearer " + token, 410, codeConnectionGone},
		{"both, wrong token", []string{key}, []string{token}, "Bearer x" + token, 401, codeUnauthorized},
		{"both, bad signature", []string{key}, []string{token}, "AWS4-HMAC-SHA256 x", 403, codeSigV4Malformed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := newTestNode(t, func(c *Config) { c.AWS.Keys, c.Tokens = tc.keys, tc.tokens })
			var header []string
			if tc.auth != "" {
				header = []string{"Authorization", tc.auth}
			}
			w := n.call("GET", "/@connections/n1.7.zz", "", header...)
			if a := decode[pushAnswer](t, w.Body.Bytes()); w.Code != tc.status || a.Code != tc.code {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
}

// TestAmazonSDK runs the client of the AWS SDK for JavaScript against a node.
func TestAmazonSDK(t *testing.T) {
	dir := installSDK(t)
	n := newTestNode(t, func(c *Config) { c.AWS.Keys = []string{"AKIDEXAMPLE:wJalrXUtnFEMI"} })
	live := n.connect("a", "d", takes)
	full := n.connect("a", "full", overfull)
	id := testOrigin.Text(live.Number)
	n.records.add(session.Record{Address: live.Address, Session: id, SeenMS: live.OpenedMS, Remote: "[2001:db8::1]:9", UserAgent: "ws"})
	cmd := exec.Command("node", "calls.mjs", n.listen(), id, testOrigin.Text(full.Number))
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s\n%s", err, out, err.(*exec.ExitError).Stderr)
	}
	got := decode[map[string]any](t, out)
	want := map[string]any{
		"post": 200.0, "get": 200.0, "connectedAt": "2023-11-14T22:13:20.000Z", "sourceIp": "2001:db8::1", "userAgent": "ws",
		"full": "LimitExceededException 429", "unknown": "GoneException 410", "large": "PayloadTooLargeException 413",
		"wrongSecret": "ForbiddenException 403", "wrongKey": "ForbiddenException 403", "late": "ForbiddenException 403", "delete": 204.0,
	}
	for name, v := range want {
		if got[name] != v {
			t.Errorf("%s: %v, want %v", name, got[name], v)
		}
	}
	if _, frame := n.devices.last(live); !strings.Contains(frame, `"text":"hällo from the SDK"`) {
		t.Errorf("the device got %s", frame)
	}
	if closed := n.devices.conns[live.Conn].closed; closed != 4007 {
		t.Errorf("closed with %d", closed)
	}
}

// installSDK installs testdata/aws by its lock file into a cache that later runs use
// again, and returns the directory.
func installSDK(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("npm"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("npm is missing and CI=true: the AWS SDK must be tested here")
		}
		t.Skip("npm is missing: the AWS SDK for JavaScript cannot be installed")
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = t.TempDir()
	}
	lock, err := os.ReadFile("testdata/aws/package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "roost-api-test", sha(string(lock))[:16])
	for _, name := range []string{"package.json", "package-lock.json", "calls.mjs"} {
		b, err := os.ReadFile(filepath.Join("testdata/aws", name))
		if err == nil {
			if err = os.MkdirAll(dir, 0o755); err == nil {
				err = os.WriteFile(filepath.Join(dir, name), b, 0o644)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "installed")); err == nil {
		return dir
	}
	cmd := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("npm ci: %v\n%s", err, out)
		}
		t.Skipf("npm ci: %v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "installed"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

//go:build linux

package bench

import (
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/roostpush/roost/bench/report"
	"github.com/roostpush/roost/bench/tally"
)

// secureEcho is an echo server behind TLS, and a file with its certificate.
func secureEcho(t *testing.T) (url, ca string) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, _, _, err := ws.UpgradeHTTP(r, w)
		if err != nil {
			return
		}
		defer c.Close()
		for {
			message, op, err := wsutil.ReadClientData(c)
			if err != nil || wsutil.WriteServerMessage(c, op, message) != nil {
				return
			}
		}
	}))
	t.Cleanup(server.Close)
	ca = filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(ca, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return "wss://" + strings.TrimPrefix(server.URL, "https://") + "/", ca
}

func TestEchoOverTLS(t *testing.T) {
	url, ca := secureEcho(t)
	for _, c := range []struct {
		name     string
		ca       string
		insecure bool
		payload  int
	}{{"authority of a file", ca, false, 64}, {"any certificate", "", true, 64}, {"large messages", ca, false, 50_000}} {
		t.Run(c.name, func(t *testing.T) {
			load := shortEcho
			load.PayloadBytes = c.payload
			s := quick(url, EchoPhases(20, load))
			s.Target.CA, s.Target.Insecure = c.ca, c.insecure
			s.Target.Sources = "127.0.1.1-127.0.1.3"
			s.Thresholds = []string{"lost==0", "failed==0"}
			r := mustRun(t, s, Options{})
			wantCounts(t, r, map[tally.Counter]int64{tally.Opened: 20, tally.Sent: 1000, tally.Received: 1000, tally.Lost: 0, tally.Corrupt: 0, tally.Ended: 0})
			if r.Exit() != report.ExitOK {
				t.Errorf("exit %d", r.Exit())
			}
		})
	}
}

// Connections over TLS come, are proved and go, and nothing of them stays (goleak).
func TestChurnAndIdleOverTLS(t *testing.T) {
	url, ca := secureEcho(t)
	s := quick(url, append(ConnectPhases(100, 300*time.Millisecond, 20*time.Millisecond), IdlePhases(10, 0, 50*time.Millisecond, patience)...))
	s.Target.CA = ca
	r := mustRun(t, s, Options{})
	wantCounts(t, r, map[tally.Counter]int64{tally.Opened: 40, tally.Failed: 0, tally.Proved: 10, tally.Dead: 0})
}

func TestTLSThatCannotBeTrusted(t *testing.T) {
	url, _ := secureEcho(t)
	other := filepath.Join(t.TempDir(), "other.pem")
	if err := os.WriteFile(other, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, url, ca string
		want          error
		says          string
	}{
		{"unknown authority", url, "", ErrTarget, "--insecure"},
		{"no TLS there", strings.Replace(honest(t).url, "ws://", "wss://", 1), "", ErrTarget, "TLS"},
		{"no PEM", url, other, ErrUsage, "no certificate in it"},
		{"no file", url, "/no/such/file", ErrUsage, "--ca"},
		{"TLS expected and not used", strings.Replace(url, "wss://", "ws://", 1), "", ErrTarget, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := quick(c.url, EchoPhases(1, shortEcho))
			s.Target.CA = c.ca
			_, err := Run(t.Context(), s, Options{})
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v; want %v that says %q", err, c.want, c.says)
			}
		})
	}
}

package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/roostpush/roost/cmd/roost/internal/config"
	"github.com/roostpush/roost/session/auth"
)

// tokenNode runs a node whose keys file has the public halves of what it returns: an
// RSA and an Ed25519 key.
func tokenNode(t *testing.T) (*testNode, *auth.Signer, *auth.Signer) {
	t.Helper()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var public []byte
	signers := make([]*auth.Signer, 2)
	for i, k := range []struct {
		alg     string
		private any
		public  any
	}{{"RS256", rsaKey, &rsaKey.PublicKey}, {"EdDSA", edKey, edKey.Public()}} {
		der, err := x509.MarshalPKCS8PrivateKey(k.private)
		if err != nil {
			t.Fatal(err)
		}
		signers[i], err = auth.NewSigner(k.alg, "", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
		if err != nil {
			t.Fatal(err)
		}
		if der, err = x509.MarshalPKIXPublicKey(k.public); err != nil {
			t.Fatal(err)
		}
		public = append(public, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})...)
	}
	file := filepath.Join(t.TempDir(), "keys.pem")
	if err := os.WriteFile(file, public, 0o600); err != nil {
		t.Fatal(err)
	}
	n := startNode(t, func(c *config.Config) {
		c.Auth.Mode, c.Auth.KeysFile, c.Auth.Leeway = auth.ModeToken, file, 0
	})
	return n, signers[0], signers[1]
}

func mint(t *testing.T, s *auth.Signer, device string, lives time.Duration) string {
	t.Helper()
	token, err := s.Mint(auth.Grant{Account: "alice", Device: device, Send: true, Attrs: []byte(`{"os":"x"}`), Expires: time.Now().Add(lives)})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func bearer(token string) ws.Dialer {
	return ws.Dialer{Header: ws.HandshakeHeaderHTTP{"Authorization": {"Bearer " + token}}}
}

// TestTokensOfEveryCarrier connects with public-key tokens, whose signatures are checked
// off the loop, in each place where a token may stand.
func TestTokensOfEveryCarrier(t *testing.T) {
	t.Parallel()
	n, rs, ed := tokenNode(t)
	url := "ws://" + n.public + "/ws"
	for i, signer := range []*auth.Signer{rs, ed} {
		token := mint(t, signer, "phone", time.Hour)
		for name, d := range map[string]*testDevice{
			"header":      n.dial(bearer(token), url),
			"query":       n.dial(ws.Dialer{}, url+"?token="+token),
			"subprotocol": n.dial(ws.Dialer{Protocols: []string{"roost.token." + token, "roost.v1"}}, url),
		} {
			if hello := d.read(); hello["type"] != "hello" || hello["account"] != "alice" || hello["device"] != "phone" {
				t.Fatalf("signer %d, %s: %v", i, name, hello)
			}
		}
	}
	d := n.dial(bearer(mint(t, rs, "", time.Hour)), url+"?device=watch")
	d.expect(map[string]any{"type": "hello", "device": "watch"})
	n.flush()
	d.say(`{"type":"devices","id":1}`)
	if list := fmt.Sprint(d.read()); !strings.Contains(list, "os:x") {
		t.Fatalf("attrs are not in %s", list)
	}
}

func TestTokensRefused(t *testing.T) {
	t.Parallel()
	n, rs, _ := tokenNode(t)
	good := mint(t, rs, "phone", time.Hour)
	for _, tc := range []struct {
		name, query string
		header      http.Header
		status      int
	}{
		{"none", "", nil, 401},
		{"expired", "?token=" + mint(t, rs, "phone", -time.Hour), nil, 401},
		{"changed", "?token=" + good[:len(good)-8] + "AAAAAAAA", nil, 401},
		{"basic", "", http.Header{"Authorization": {"Basic abc"}}, 400},
		{"another account in the query", "?account=bob&token=" + good, nil, 403},
		{"another device in the query", "?device=watch&token=" + good, nil, 403},
		{"no device anywhere", "?token=" + mint(t, rs, "", time.Hour), nil, 400},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, _, _, err := ws.Dialer{Header: ws.HandshakeHeaderHTTP(tc.header)}.Dial(context.Background(), "ws://"+n.public+"/ws"+tc.query)
			var status ws.StatusError
			if !errors.As(err, &status) || int(status) != tc.status {
				t.Fatalf("%v, want %d", err, tc.status)
			}
		})
	}
}

// A device may do what its newest token permits, no more and no less.
func TestRenewedTokenSaysWhoMaySend(t *testing.T) {
	n, rs, ed := tokenNode(t)
	url := "ws://" + n.public + "/ws"
	tv := n.dial(bearer(mint(t, rs, "tv", time.Hour)), url)
	tv.expect(map[string]any{"type": "hello"})
	phone := n.dial(bearer(mint(t, rs, "phone", time.Hour)), url)
	phone.expect(map[string]any{"type": "hello"})
	for i, may := range []bool{false, true} {
		token, err := ed.Mint(auth.Grant{Account: "alice", Device: "phone", Send: may, Expires: time.Now().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		phone.say(fmt.Sprintf(`{"type":"token","id":"new","token":%q}`, token))
		phone.expect(map[string]any{"type": "result", "ref": "new", "status": "ok"})
		phone.say(fmt.Sprintf(`{"type":"send","id":"s","to":{"device":"tv"},"payload":%d}`, i))
		if may {
			phone.expect(map[string]any{"type": "result", "ref": "s", "status": "written"})
			tv.expect(map[string]any{"type": "message", "payload": i})
		} else {
			phone.expect(map[string]any{"type": "error", "ref": "s", "code": "forbidden"})
		}
	}
}

func TestTokenExpiresUnlessRenewed(t *testing.T) {
	t.Parallel()
	n, rs, ed := tokenNode(t)
	url := "ws://" + n.public + "/ws"
	// As little as can be must be done before a token ends: a busy machine is slow.
	longer := mint(t, ed, "renewed", time.Hour)
	renewed := n.dial(bearer(mint(t, rs, "renewed", 6*time.Second)), url)
	renewed.expect(map[string]any{"type": "hello"})
	renewed.say(fmt.Sprintf(`{"type":"token","id":"good","token":%q}`, longer))
	renewed.expect(map[string]any{"type": "result", "ref": "good", "status": "ok"})
	doomed := n.dial(bearer(mint(t, rs, "doomed", 6*time.Second)), url)
	doomed.expect(map[string]any{"type": "hello"})
	renewed.say(fmt.Sprintf(`{"type":"token","id":"wrong","token":%q}`, mint(t, ed, "doomed", time.Hour)))
	renewed.expect(map[string]any{"type": "error", "ref": "wrong", "code": "forbidden"})
	renewed.say(`{"type":"token","id":"bad","token":"a.b.c"}`)
	renewed.expect(map[string]any{"type": "error", "ref": "bad"})
	doomed.expect(map[string]any{"type": "goaway", "reason": "expired"})
	if code, reason := doomed.closed(); code != 4002 || !strings.Contains(reason, "reconnect_ms") {
		t.Fatalf("closed with %d %q", code, reason)
	}
	// The renewed one has outlived its first token by now, or the close is on its way
	// before this pong.
	renewed.say(`{"type":"ping","id":1}`)
	renewed.expect(map[string]any{"type": "pong"})
}

package auth

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

var newSecretBytes = []byte("the secret after the rotation, 32+")

func rotated() []byte {
	return jwksOf(jwk{Kty: "oct", Kid: "hs", K: base64url.EncodeToString(newSecretBytes)}, publicJWK("EdDSA", "ed"))
}

func (f *fixture) write(t *testing.T, text []byte) {
	t.Helper()
	if err := os.WriteFile(f.path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestReload walks one verifier through the life of a keys file.
func TestReload(t *testing.T) {
	f := open(t, allKeys(), nil)
	old := craft("HS256", hsHeader, plain)
	young := sign(jwt.SigningMethodHS256, newSecretBytes, hsHeader, plain)
	ed := craft("EdDSA", `{"alg":"EdDSA"}`, plain)
	ask := func(step string, wantOld, wantYoung error) {
		t.Helper()
		for token, want := range map[string]error{old: wantOld, young: wantYoung} {
			if _, err := f.ask(token, noon); !errors.Is(err, want) {
				t.Fatalf("%s: error is %v, want %v", step, err, want)
			}
		}
	}
	logged := func(step string, lines int, says string) {
		t.Helper()
		if text := f.logged.take(); strings.Count(text, "\n") != lines || !strings.Contains(text, says) {
			t.Fatalf("%s: logged %q, want %d lines that say %q", step, text, lines, says)
		}
	}
	ask("start", nil, ErrSignature)
	if _, err := f.ask(ed, noon); err != nil || f.Stats().CacheEntries != 1 {
		t.Fatalf("not remembered: %v, %+v", err, f.Stats())
	}

	f.poll()
	logged("nothing happened", 0, "")
	f.write(t, allKeys())
	f.poll()
	logged("written again, the same", 0, "")
	if f.Stats().CacheEntries != 1 {
		t.Fatal("the same keys emptied the cache")
	}

	for _, c := range []struct {
		name string
		text []byte
		says string
	}{
		{"half written", rotated()[:100], "not whole JSON"},
		{"empty", nil, "it is empty"},
		{"weak", []byte(`{"keys":[{"kty":"oct","k":"AAAA"}]}`), "weak"},
		{"too large", make([]byte, 1<<20+1), "more than 1048576 bytes"},
	} {
		f.write(t, c.text)
		f.poll()
		logged(c.name, 1, c.says)
		f.poll()
		logged(c.name+", again", 0, "")
		ask(c.name, nil, ErrSignature)
	}
	if err := os.Remove(f.path); err != nil {
		t.Fatal(err)
	}
	f.poll()
	logged("removed", 1, "no such file")
	f.poll()
	logged("removed, again", 0, "")
	ask("removed", nil, ErrSignature)

	f.write(t, allKeys())
	f.poll()
	logged("back", 1, "keys file is what it was")
	f.write(t, rotated())
	f.poll()
	logged("rotated", 1, "keys reloaded")
	ask("rotated", ErrSignature, nil)
	if st := f.Stats(); st.CacheEntries != 0 || st.Keys != 2 || st.Reloads != 1 || st.ReloadFailures != 5 {
		t.Fatalf("after the rotation: %+v", st)
	}
	if _, done, _ := f.Quick([]byte(ed), noon); done {
		t.Fatal("a verdict outlived the keys it was reached with")
	}
}

// TestReloadByRename: a new inode of the same size and time is seen, as when a
// Kubernetes secret or `mv` replaces the file.
func TestReloadByRename(t *testing.T) {
	f := open(t, jwksOf(publicJWK("HS256", "hs")), nil)
	other := []byte("abcdef0123456789abcdef0123456789")
	text := jwksOf(jwk{Kty: "oct", Alg: "HS256", Kid: "hs", K: base64url.EncodeToString(other)})
	f.settle(t)
	before, err := os.Stat(f.path)
	if err != nil {
		t.Fatal(err)
	}
	beside := filepath.Join(filepath.Dir(f.path), "new")
	if err := os.WriteFile(beside, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(beside, before.ModTime(), before.ModTime()); err != nil {
		t.Fatal(err)
	}
	if int64(len(text)) != before.Size() {
		t.Fatal("the test wants files of one size")
	}
	if err := os.Rename(beside, f.path); err != nil {
		t.Fatal(err)
	}
	f.poll()
	if _, err := f.ask(sign(jwt.SigningMethodHS256, other, hsHeader, plain), noon); err != nil {
		t.Fatal(err)
	}
}

// settle makes the file old and looked at, so that only a change of it is seen.
func (f *fixture) settle(t *testing.T) {
	t.Helper()
	old := noon.Add(-time.Hour)
	if err := os.Chtimes(f.path, old, old); err != nil {
		t.Fatal(err)
	}
	f.poll()
	if f.file.unsettled {
		t.Fatal("an hour-old file is unsettled")
	}
}

// TestReloadWithinATick: a second write that changes neither size, inode nor time is
// seen as long as the first is young.
func TestReloadWithinATick(t *testing.T) {
	f := open(t, jwksOf(publicJWK("HS256", "hs")), nil)
	if err := os.Chtimes(f.path, noon, noon); err != nil {
		t.Fatal(err)
	}
	f.poll()
	other := []byte("abcdef0123456789abcdef0123456789")
	f.write(t, jwksOf(jwk{Kty: "oct", Alg: "HS256", Kid: "hs", K: base64url.EncodeToString(other)}))
	if err := os.Chtimes(f.path, noon, noon); err != nil {
		t.Fatal(err)
	}
	f.poll()
	if _, err := f.ask(sign(jwt.SigningMethodHS256, other, hsHeader, plain), noon); err != nil {
		t.Fatal(err)
	}
}

// TestWatch: the goroutine polls every ReloadInterval, sweeps, and Close ends it.
func TestWatch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, allKeys(), 0o600); err != nil {
		t.Fatal(err)
	}
	signers()
	synctest.Test(t, func(t *testing.T) {
		cfg := Default()
		cfg.KeysFile, cfg.ReloadInterval = path, time.Minute
		var late atomic.Int64 // nanoseconds after noon
		v, err := New(cfg, slog.New(slog.NewTextHandler(io.Discard, nil)), func() time.Time { return noon.Add(time.Duration(late.Load())) })
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		if _, err := v.Verify([]byte(craft("EdDSA", `{"alg":"EdDSA"}`, plain)), noon); err != nil {
			t.Fatal(err)
		}
		late.Store(int64(time.Hour))
		time.Sleep(time.Minute)
		synctest.Wait()
		if st := v.Stats(); st.CacheEntries != 0 || st.Reloads != 0 {
			t.Fatalf("an expired verdict is still there: %+v", st)
		}
		if err := os.WriteFile(path, rotated(), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute - 1)
		synctest.Wait()
		if v.Stats().Reloads != 0 {
			t.Fatal("looked too early")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if v.Stats().Reloads != 1 {
			t.Fatal("did not look")
		}
	})
}

func TestRemarksAreLogged(t *testing.T) {
	f := open(t, allKeys(), func(c *Config) { c.Algorithms = []string{"HS256"} })
	if text := f.logged.take(); strings.Count(text, "is not in algorithms") != 3 || strings.Contains(text, "open to every user") {
		t.Errorf("logged %q", text)
	}
	if err := os.Chmod(f.path, 0o644); err != nil {
		t.Fatal(err)
	}
	f.write(t, rotated())
	f.poll()
	if text := f.logged.take(); !strings.Contains(text, "open to every user") {
		t.Errorf("logged %q", text)
	}
}

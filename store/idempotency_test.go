package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/roostpush/roost/session"
)

// keysOf returns the keys on disk at a time, each with its message.
func keysOf(t testing.TB, s *Store, nowMS int64) (list []string) {
	t.Helper()
	err := s.Keys(nowMS, func(k session.Key, id session.ID, devices int) bool {
		list = append(list, fmt.Sprintf("%d sum %d: %s for %d until %d", k.Hash[0], k.Sum, id.Text(), devices, k.GoneMS))
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func keyed(k session.Kept, hash byte, goneMS int64) session.Kept {
	k.Key = session.Key{Hash: [16]byte{hash}, Sum: uint64(hash) * 11, GoneMS: goneMS}
	return k
}

// TestKeysOnDisk: a key is there with its message, also after a restart; until its time is
// over, or it is forgotten.
func TestKeysOnDisk(t *testing.T) {
	c := newClock()
	fs, cfg := vfs.NewMem(), testConfig("d")
	now := c.now().UnixMilli()
	s := mustOpen(t, cfg, c.now, fs)
	mustPost(t, s, keyed(keptFor("a/d", 1, 1, "x"), 1, now+5500), keptFor("a/e", 1, 1, "x"))
	mustPost(t, s, keyed(keptFor("b/d", 1, 2, "x"), 2, now+2000))
	mustPost(t, s, keptFor("b/d", 1, 3, "x"))
	mustPost(t, s, keyed(keptFor("b/d", 1, 4, "x"), 3, now+60_000))
	first := fmt.Sprintf("[2 sum 22: n1.1.2 for 1 until %d 1 sum 11: n1.1.1 for 2 until %d 3 sum 33: n1.1.4 for 1 until %d]", now+2000, now+6000, now+60_000)
	if got := fmt.Sprint(keysOf(t, s, now)); got != first {
		t.Errorf("%s, want %s", got, first)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, cfg, c.now, fs)
	if got := fmt.Sprint(keysOf(t, s, now)); got != first {
		t.Errorf("after a restart: %s, want %s", got, first)
	}
	s.ForgetKey(session.Key{Hash: [16]byte{3}, GoneMS: now + 60_000})
	s.ForgetKey(session.Key{Hash: [16]byte{2}, GoneMS: now + 60_000}) // it goes at another time
	mustPost(t, s, keptFor("c/d", s.Epoch(), 1, "x"))                 // and with it what was forgotten
	if got := keysOf(t, s, now); len(got) != 2 {
		t.Errorf("one is forgotten: %s", got)
	}
	for _, tt := range []struct {
		after time.Duration
		left  int
	}{{1999 * time.Millisecond, 2}, {2000 * time.Millisecond, 1}, {5999 * time.Millisecond, 1}, {6000 * time.Millisecond, 0}} {
		c.ms.Store(now + tt.after.Milliseconds())
		if got := keysOf(t, s, c.now().UnixMilli()); len(got) != tt.left {
			t.Errorf("after %v: %s", tt.after, got)
		}
		if err := s.sweepKeys(); err != nil {
			t.Fatal(err)
		}
		if got := keysOf(t, s, 0); len(got) != tt.left {
			t.Errorf("after a sweep at %v: %s", tt.after, got)
		}
	}
}

// TestKeyOfRefusedMessages: what is not kept has no key on disk.
func TestKeyOfRefusedMessages(t *testing.T) {
	c := newClock()
	fs, cfg := vfs.NewMem(), testConfig("d")
	cfg.MailMessagesMax = 1
	s := mustOpen(t, cfg, c.now, fs)
	if err := postErr(s, keyed(keptFor("a/d", 1, 1, "x"), 1, 1<<50), keptFor("a/e", 1, 1, "x")); err == nil {
		t.Fatal("it was kept")
	}
	mustPost(t, s, keptFor("a/d", 1, 2, "x"))
	if got := keysOf(t, s, 0); len(got) != 0 {
		t.Errorf("keys %s", got)
	}
}

// TestKeysOfOthers: keys of messages that other nodes keep are on disk once that is said, with the
// hashes of their accounts, and those that were written without one are read.
func TestKeysOfOthers(t *testing.T) {
	c := newClock()
	fs, cfg := vfs.NewMem(), testConfig("d")
	now := c.now().UnixMilli()
	s := mustOpen(t, cfg, c.now, fs)
	other := session.ID{Origin: session.Origin{Node: "n2", Epoch: 9}, Number: 7}
	own := keyed(keptFor("a/d", s.Epoch(), 1, "x"), 2, now+3000)
	own.Key.Account = 1 << 63
	mustPost(t, s, own)
	mustPost(t, s, keyed(keptFor("a/d", s.Epoch(), 2, "x"), 3, now+4000))
	file := func(list ...session.FiledKey) error {
		done := make(chan error, 1)
		s.FileKeys(list, func(err error) { done <- err })
		return <-done
	}
	key := session.FiledKey{Key: session.Key{Hash: [16]byte{1}, Sum: 5, GoneMS: now + 2000, Account: 77}, ID: other, Devices: 300}
	if err := file(key); err != nil {
		t.Fatal(err)
	}
	if err := file(key, session.FiledKey{}); err == nil {
		t.Error("a key of no message is kept")
	}
	for range 2 {
		var got []string
		err := s.Keys(now, func(k session.Key, id session.ID, devices int) bool {
			got = append(got, fmt.Sprintf("%d of %d: %d %s for %d until %d", k.Hash[0], k.Account, k.Sum, id.Text(), devices, k.GoneMS))
			return true
		})
		want := fmt.Sprintf("[1 of 77: 5 n2.9.7 for 300 until %d 2 of %d: 22 %s for 1 until %d 3 of 0: 33 n1.1.2 for 1 until %d]", now+2000, uint64(1<<63), own.ID.Text(), now+3000, now+4000)
		if err != nil || fmt.Sprint(got) != want {
			t.Errorf("%v, want %s; %v", got, want, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = mustOpen(t, cfg, c.now, fs)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := file(key); err == nil {
		t.Error("a store that is closed keeps a key")
	}
}

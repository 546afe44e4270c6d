package redis

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/roostpush/roost/session"
)

func (s *Store) keysOf(t *testing.T, nowMS int64) (list []string) {
	t.Helper()
	err := s.Keys(nowMS, func(k session.Key, id session.ID, devices int) bool {
		list = append(list, fmt.Sprintf("%d of %d: %d %s for %d until %d", k.Hash[0], k.Account, k.Sum, id.Text(), devices, k.GoneMS))
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestKeys: a key is there with its message, and those of other nodes once that is said, also after the
// server was killed; until its time is over or it is forgotten.
func TestKeys(t *testing.T) {
	server := startServer(t)
	s := server.open(server.config())
	now := time.Now().UnixMilli()
	own := kept("d", 1)
	own.Key = session.Key{Hash: [16]byte{1}, Sum: 11, GoneMS: now + 3_600_000, Account: 1 << 63}
	if err := put(s, own, kept("e", 1)); err != nil {
		t.Fatal(err)
	}
	file := func(list ...session.FiledKey) error {
		done := make(chan error, 1)
		s.FileKeys(list, func(err error) { done <- err })
		return <-done
	}
	other := func(hash byte, goneMS int64) session.FiledKey {
		return session.FiledKey{Key: session.Key{Hash: [16]byte{hash}, Sum: 5, GoneMS: goneMS}, ID: session.ID{Origin: session.Origin{Node: "n2", Epoch: 9}, Number: 7}, Devices: 3}
	}
	for range 2 { // as when the answer was lost
		if err := file(other(2, now+1_800_000), other(3, now+7_200_000)); err != nil {
			t.Fatal(err)
		}
	}
	if err := file(other(4, now-1)); err != nil { // its time was over on its way
		t.Fatal(err)
	}
	if err := file(session.FiledKey{}); err == nil {
		t.Error("a key of no message is kept")
	}
	want := []string{
		fmt.Sprintf("2 of 0: 5 n2.9.7 for 3 until %d", now+1_800_000),
		fmt.Sprintf("1 of %d: 11 %s for 2 until %d", uint64(1<<63), own.ID.Text(), now+3_600_000),
		fmt.Sprintf("3 of 0: 5 n2.9.7 for 3 until %d", now+7_200_000),
	}
	if got := s.keysOf(t, now); !reflect.DeepEqual(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	server.kill()
	server.start()
	s = server.open(server.config())
	if got := s.keysOf(t, now+1_800_000); !reflect.DeepEqual(got, want[1:]) {
		t.Errorf("after a restart: %q, want %q", got, want[1:])
	}
	s.ForgetKey(other(3, now+7_200_000).Key)
	s.ForgetKey(other(2, now).Key)               // it goes at another time
	s.ForgetKey(other(9, now+50).Key)            // there is none
	if err := put(s, kept("d", 2)); err != nil { // and with it what was forgotten
		t.Fatal(err)
	}
	if got := s.keysOf(t, now); !reflect.DeepEqual(got, want[:2]) {
		t.Errorf("one is forgotten: %q, want %q", got, want[:2])
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := file(other(5, now+1000)); err == nil {
		t.Error("a store that is closed keeps a key")
	}
}

// FuzzParseKey wants garbage to be refused, or to be what append makes.
func FuzzParseKey(f *testing.F) {
	f.Add(appendKey(nil, &session.FiledKey{Key: session.Key{Sum: 1, GoneMS: 1 << 40, Account: 2}, ID: session.ID{Origin: session.Origin{Node: "n1", Epoch: 3}, Number: 7}, Devices: 300}))
	f.Add([]byte{keyLayout})
	f.Fuzz(func(t *testing.T, b []byte) {
		var k, again session.FiledKey
		if !parseKey(b, &k) {
			return
		}
		if !parseKey(appendKey(nil, &k), &again) || k != again {
			t.Errorf("%+v became %+v", k, again)
		}
	})
}

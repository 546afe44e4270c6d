package redis

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/mailbox"
)

// put posts the list and waits for the answer, which comes after that of everything before.
func put(s *Store, list ...session.Kept) error {
	done := make(chan error, 1)
	s.Post(list, func(err error) { done <- err })
	return <-done
}

func kept(device string, number session.MessageID) session.Kept {
	return session.Kept{
		ID:      session.ID{Origin: session.Origin{Node: "n1", Epoch: 1}, Number: number},
		Address: session.Address{Account: "a", Device: device}, Payload: []byte("hello"), ExpiresMS: 1 << 40,
	}
}

func compare(a, b session.Kept) int {
	return strings.Compare(string(appendID(nil, a.ID)), string(appendID(nil, b.ID)))
}

// TestModel compares the store with a list.
func TestModel(t *testing.T) {
	server := startServer(t)
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		cfg := server.config()
		cfg.Prefix = fmt.Sprint("run", run)
		cfg.GroupMax = rapid.SampledFrom([]int{1, 3, 1000}).Draw(t, "group")
		s, err := Open(cfg, "n1")
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		var mail []session.Kept
		fates := map[session.ID][]mailbox.Fate{}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			if len(mail) > 0 && rapid.IntRange(0, 2).Draw(t, "step") == 0 {
				i := rapid.IntRange(0, len(mail)-1).Draw(t, "message")
				k := mail[i]
				s.Settle(k.Address, k.ID, session.Acked, 77)
				s.Settle(k.Address, k.ID, session.Expired, 78) // comes too late
				mail = slices.Delete(mail, i, i+1)
				for j := range fates[k.ID] {
					if f := &fates[k.ID][j]; f.Device == k.Device {
						*f = mailbox.Fate{Device: k.Device, Outcome: session.Acked, AtMS: 77}
					}
				}
				continue
			}
			k := drawKept(t)
			if fates[k.ID] != nil {
				continue
			}
			k.Account = rapid.SampledFrom([]string{"a", "b:c"}).Draw(t, "account")
			var list []session.Kept
			for _, device := range []string{"d", "e", "f"}[:rapid.IntRange(1, 3).Draw(t, "devices")] {
				k.Device = device
				list = append(list, k)
				fates[k.ID] = append(fates[k.ID], mailbox.Fate{Device: device, Outcome: session.Queued, AtMS: k.SentMS})
			}
			mail = append(mail, list...)
			s.Post(list, func(err error) {
				if err != nil {
					panic(err)
				}
			})
		}
		last := kept("last", 1)
		last.Node = "last"
		if err := put(s, last); err != nil {
			t.Fatal(err)
		}
		checkAll(t, s, mail, fates)
	})
}

func checkAll(t *rapid.T, s *Store, mail []session.Kept, fates map[session.ID][]mailbox.Fate) {
	var all []string
	err := s.Mailboxes(func(a session.Address, id session.ID, expiresMS int64, collapse string) bool {
		if a.Device != "last" {
			all = append(all, fmt.Sprint(a, id, expiresMS, collapse))
		}
		return true
	})
	var wantAll []string
	for _, k := range mail {
		wantAll = append(wantAll, fmt.Sprint(k.Address, k.ID, k.ExpiresMS, k.Collapse))
	}
	slices.Sort(all)
	slices.Sort(wantAll)
	if err != nil || !slices.Equal(all, wantAll) {
		t.Fatalf("mailboxes: %v, %v\nwant %v", all, err, wantAll)
	}
	for _, account := range []string{"a", "b:c"} {
		for _, device := range []string{"d", "e", "f"} {
			a := session.Address{Account: account, Device: device}
			var want []session.Kept
			for _, k := range mail {
				if k.Address == a {
					want = append(want, k)
				}
			}
			slices.SortFunc(want, compare)
			for after := range len(want) + 1 {
				var from session.ID
				if after > 0 {
					from = want[after-1].ID
				}
				got, err := s.Mail(nil, a, from, 100, 1<<20)
				if err != nil || len(got) != len(want)-after || len(got) > 0 && !reflect.DeepEqual(got, want[after:]) {
					t.Fatalf("mail of %v after %d: %v, %v\nwant %v", a, after, got, err, want[after:])
				}
			}
			if len(want) > 0 { // an id without a node is before it
				from := session.ID{Origin: session.Origin{Epoch: want[0].Epoch}, Number: want[0].Number}
				got, err := s.Mail(nil, a, from, 1, 1)
				if err != nil || len(got) != 1 || got[0].ID != want[0].ID {
					t.Fatalf("mail of %v from %v: %v, %v", a, want[0].ID, got, err)
				}
			}
		}
	}
	for id, want := range fates {
		_, got, found, err := s.Fates(id)
		if err != nil || !found || !slices.Equal(got, want) {
			t.Fatalf("fates of %v: %v, %v, %v\nwant %v", id, got, found, err, want)
		}
	}
}

// TestNote: the outcome of a device that a message is not kept for stands beside the others,
// and goes with them.
func TestNote(t *testing.T) {
	server := startServer(t)
	s := server.open(server.config())
	defer s.Close()
	k := kept("d", 1)
	tv := session.Address{Account: "a", Device: "tv"}
	s.Note(tv, kept("d", 2).ID, session.Overloaded, 5) // nothing is known of that one
	s.Post([]session.Kept{k}, func(error) {})
	s.Note(tv, k.ID, session.Overloaded, 5)
	if err := put(s, kept("last", 3)); err != nil {
		t.Fatal(err)
	}
	_, list, _, err := s.Fates(k.ID)
	if got := fmt.Sprint(list); err != nil || got != "[{d queued 0} {tv overloaded 5}]" {
		t.Errorf("fates: %s, %v", got, err)
	}
	if _, list, found, err := s.Fates(kept("d", 2).ID); found || err != nil {
		t.Errorf("fates of what was never kept: %v, %v", list, err)
	}
	s.Settle(k.Address, k.ID, session.Acked, 6)
	if err := put(s, kept("last", 4)); err != nil {
		t.Fatal(err)
	}
	if left, err := s.redis.PTTL(s.ctx, s.fateKey(k.ID)).Result(); err != nil || left <= 0 {
		t.Errorf("the outcomes stay for ever: %v, %v", left, err)
	}
}

func TestLimitsOfAPage(t *testing.T) {
	server := startServer(t)
	s := server.open(server.config())
	defer s.Close()
	for n := range session.MessageID(100) {
		s.Post([]session.Kept{kept("d", n+1)}, func(error) {})
	}
	if err := put(s, kept("last", 1)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ n, bytesMax, want int }{
		{100, 1 << 20, 100}, {40, 1 << 20, 40}, {1, 1, 1}, {100, 1, 1}, {100, 5, 1}, {100, 14, 2}, {100, 15, 3}, {100, 200, 40}, {0, 100, 0},
	} {
		got, err := s.Mail(nil, kept("d", 1).Address, session.ID{}, tt.n, tt.bytesMax)
		if err != nil || len(got) != tt.want {
			t.Errorf("%d messages of %d bytes: got %d, %v, want %d", tt.n, tt.bytesMax, len(got), err, tt.want)
		}
	}
}

// TestUnsafeServer wants a server to be refused that may lose what it has answered.
func TestUnsafeServer(t *testing.T) {
	for _, tt := range []struct{ setting, value string }{
		{"appendonly", "no"}, {"appendfsync", "everysec"}, {"maxmemory-policy", "allkeys-lru"},
	} {
		server := startServer(t, "--"+tt.setting, tt.value)
		_, err := Open(server.config(), "n1")
		if err == nil || !strings.Contains(err.Error(), tt.setting) {
			t.Errorf("%s %s: %v", tt.setting, tt.value, err)
		}
		cfg := server.config()
		cfg.Durability = DurabilityTrusted
		s, err := Open(cfg, "n1")
		if err != nil {
			t.Fatal(err)
		}
		_ = s.Close()
	}
	cfg := Default()
	cfg.URL = "redis://127.0.0.1:1/0"
	if _, err := Open(cfg, "n1"); err == nil {
		t.Error("a server that is not there was opened")
	}
}

// TestKilledServer kills the server while it is posted to. What was promised is there
// afterwards, and what was posted meanwhile is promised then.
func TestKilledServer(t *testing.T) {
	server := startServer(t)
	s := server.open(server.config())
	defer s.Close()
	const posters, each = 8, 200
	var promised sync.WaitGroup
	var refused, soFar atomic.Int64
	halfway := make(chan struct{})
	promised.Add(posters * each)
	for p := range posters {
		go func() {
			for i := range each {
				s.Post([]session.Kept{kept("d", session.MessageID(1+p*each+i))}, func(err error) {
					if err != nil {
						refused.Add(1)
					}
					if soFar.Add(1) == posters*each/4 {
						close(halfway)
					}
					promised.Done()
				})
			}
		}()
	}
	<-halfway
	server.kill()
	early := soFar.Load()
	server.start()
	promised.Wait()
	got, err := s.Mail(nil, session.Address{Account: "a", Device: "d"}, session.ID{}, 10_000, 1<<20)
	if err != nil || len(got) != posters*each || refused.Load() != 0 {
		t.Errorf("%d messages are there, %d were refused, %v; want %d (promised before the kill: %d)", len(got), refused.Load(), err, posters*each, early)
	}
	t.Logf("promised before the kill: %d; %+v", early, s.Stats())
}

func TestFull(t *testing.T) {
	server := startServer(t, "--maxmemory", "3mb")
	cfg := server.config()
	s := server.open(cfg)
	defer s.Close()
	big := kept("d", 1)
	big.Payload = make([]byte, 200_000)
	var err error
	for err == nil && big.Number < 1000 {
		err = put(s, big)
		big.Number++
	}
	if !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "maxmemory") {
		t.Fatalf("a full server: %v", err)
	}
	last := big.Number - 1
	for n := session.MessageID(1); n < last; n++ { // outcomes are taken, and give it room
		s.Settle(big.Address, kept("d", n).ID, session.Acked, 5)
	}
	for err = put(s, kept("d", 5000)); errors.Is(err, ErrFull); err = put(s, kept("d", 5000)) {
	}
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Mail(nil, big.Address, session.ID{}, 10, 1<<20)
	if err != nil || len(got) != 1 || got[0].Number != 5000 {
		t.Errorf("left: %d messages, %v", len(got), err)
	}
}

// TestQueueIsBounded has the server away: Post neither blocks nor takes without end, and
// Close gives up.
func TestQueueIsBounded(t *testing.T) {
	server := startServer(t)
	cfg := server.config()
	cfg.QueueMax, cfg.GroupMax, cfg.CloseTimeout = 3, 1, 1<<20
	s := server.open(cfg)
	server.kill()
	var wrong []error
	answers := make(chan error, 10)
	for i := range 10 {
		s.Post([]session.Kept{kept("d", session.MessageID(i+1))}, func(err error) { answers <- err })
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	full, closed := 0, 0
	for range 10 {
		switch err := <-answers; {
		case errors.Is(err, ErrFull):
			full++
		case errors.Is(err, ErrClosed):
			closed++
		default:
			wrong = append(wrong, err)
		}
	}
	if full < 6 || closed < 3 || len(wrong) > 0 {
		t.Errorf("%d were refused as full, %d as closed, and %v", full, closed, wrong)
	}
	if err := put(s, kept("d", 99)); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed store says %v", err)
	}
}

// TestOutcomesGo wants outcomes to be kept while one device waits, and to get an end after
// the last one.
func TestOutcomesGo(t *testing.T) {
	server := startServer(t)
	s := server.open(server.config())
	defer s.Close()
	if err := put(s, kept("d", 1), kept("e", 1)); err != nil {
		t.Fatal(err)
	}
	for i, device := range []string{"d", "e"} {
		k := kept(device, 1)
		s.Settle(k.Address, k.ID, session.Acked, 5)
		if err := put(s, kept("last", session.MessageID(i+2))); err != nil {
			t.Fatal(err)
		}
		ttl, err := s.redis.PTTL(context.Background(), s.fateKey(k.ID)).Result()
		if err != nil || (ttl > 0) != (device == "e") || ttl > s.cfg.Retention {
			t.Errorf("after %s the outcomes live for %v, %v", device, ttl, err)
		}
	}
}

// TestGroupsAndQueueCountDevices: a push to many devices is as many messages, in the queue
// and in a transaction.
func TestGroupsAndQueueCountDevices(t *testing.T) {
	s := &Store{cfg: Default(), more: make(chan struct{}, 1)} // nobody writes
	s.cfg.QueueMax, s.cfg.GroupMax = 7, 4
	list := []session.Kept{kept("d", 1), kept("e", 1), kept("f", 1)}
	refused := 0
	for range 4 {
		s.Post(list, func(err error) { refused++ })
	}
	if refused != 1 || s.Stats().Waiting != 9 {
		t.Errorf("%d pushes are refused, %d messages wait", refused, s.Stats().Waiting)
	}
	s.cfg.GroupMax = 6
	for _, want := range []int{2, 1} {
		if got := len(s.next()); got != want {
			t.Errorf("%d pushes go together, want %d", got, want)
		}
	}
	s.cfg.QueueMax, s.cfg.GroupMax = 100, 2
	s.Post(list, nil)
	if got := len(s.next()); got != 1 || s.Stats().Waiting != 0 || s.bytes != 0 {
		t.Errorf("%d pushes, %d messages and %d bytes wait", got, s.Stats().Waiting, s.bytes)
	}
}

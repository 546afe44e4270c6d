package store

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/roostpush/roost/session"
)

// keptFor returns a message of epoch and number of n1 that expires in an hour.
func keptFor(a string, epoch, number uint64, payload string) session.Kept {
	account, device, _ := strings.Cut(a, "/")
	return session.Kept{
		ID:      session.ID{Origin: session.Origin{Node: "n1", Epoch: epoch}, Number: session.MessageID(number)},
		Address: session.Address{Account: account, Device: device},
		Payload: []byte(payload), SentMS: 1_800_000_000_000, ExpiresMS: 1_800_003_600_000,
	}
}

// postErr posts and waits until it is told.
func postErr(s *Store, list ...session.Kept) error {
	told := make(chan error, 2)
	s.Post(list, func(err error) { told <- err })
	return <-told
}

func mustPost(t testing.TB, s *Store, list ...session.Kept) {
	t.Helper()
	if err := postErr(s, list...); err != nil {
		t.Fatal(err)
	}
}

func addressOf(a string) session.Address {
	address, err := session.ParseAddress(a)
	if err != nil {
		panic(err)
	}
	return address
}

// mailOf returns the payloads that wait for a device.
func mailOf(t testing.TB, s *Store, a string, after session.ID, n, bytesMax int) string {
	t.Helper()
	list, err := s.Mail(nil, addressOf(a), after, n, bytesMax)
	if err != nil {
		t.Fatal(err)
	}
	var payloads []string
	for _, k := range list {
		if k.Address.String() != a {
			t.Errorf("a message for %s in the mail of %s", k.Address, a)
		}
		payloads = append(payloads, string(k.Payload))
	}
	return strings.Join(payloads, " ")
}

// fatesOf returns the outcomes of a message.
func fatesOf(t testing.TB, s *Store, id session.ID) string {
	t.Helper()
	list, found, err := s.Fates(id)
	if err != nil || found != (len(list) > 0) {
		t.Fatalf("Fates(%s): %v, found %v, error %v", id.Text(), list, found, err)
	}
	var texts []string
	for _, f := range list {
		texts = append(texts, fmt.Sprintf("%s=%s@%d", f.Address, f.Outcome, f.AtMS%1_000_000))
	}
	return strings.Join(texts, " ")
}

func mailboxesOf(t testing.TB, s *Store) (texts []string) {
	t.Helper()
	err := s.Mailboxes(func(a session.Address, id session.ID, expiresMS int64, collapse string) bool {
		texts = append(texts, fmt.Sprintf("%s %s %d %s", a, id.Text(), expiresMS%10_000_000, collapse))
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

// TestNote: the outcome of a device that a message is not kept for stands beside the others,
// and nothing waits for it.
func TestNote(t *testing.T) {
	c := newClock()
	fs := vfs.NewMem()
	s := mustOpen(t, testConfig("d"), c.now, fs)
	k := keptFor("acme/phone", 1, 7, "x")
	mustPost(t, s, k)
	s.Note(addressOf("acme/tv"), k.ID, session.Overloaded, c.now().UnixMilli())
	check := func(when string) {
		t.Helper()
		if got := fatesOf(t, s, k.ID); got != fmt.Sprintf("acme/phone=queued@0 acme/tv=overloaded@%d", c.now().UnixMilli()%1_000_000) {
			t.Errorf("%s: fates %s", when, got)
		}
		if got := mailOf(t, s, "acme/tv", session.ID{}, 10, 1<<20); got != "" {
			t.Errorf("%s: %s waits", when, got)
		}
		if st := s.MailStats(); st.Messages != 1 || st.Settled != 0 {
			t.Errorf("%s: %+v", when, st)
		}
	}
	check("noted")
	mustPost(t, s, keptFor("acme/phone", 1, 8, "y")) // a commit
	s.Settle(addressOf("acme/phone"), session.ID{Origin: k.Origin, Number: 8}, session.Acked, 5)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, testConfig("d"), c.now, fs)
	check("after a restart")
	if got := fmt.Sprint(mailboxesOf(t, s)); got != "[acme/phone n1.1.7 3600000 ]" {
		t.Errorf("mailboxes %s", got)
	}
	check("counted again")
}

func TestMessageFromPostToSettle(t *testing.T) {
	c := newClock()
	fs := vfs.NewMem()
	s := mustOpen(t, testConfig("d"), c.now, fs)
	k := keptFor("acme/phone", 1, 7, `{"hello":1}`)
	k.Kind, k.From, k.Priority, k.Collapse, k.First, k.Trace = session.JSON, "tablet", session.PriorityHigh, "news", true, "00-1-2-01"
	borrowed := k
	borrowed.Payload = []byte(string(k.Payload))
	s.Post([]session.Kept{borrowed}, func(error) {})
	clear(borrowed.Payload) // Post has returned: it is the caller's again
	mustPost(t, s, keptFor("acme/tv", 1, 8, "other"))
	check := func(when string) {
		t.Helper()
		list, err := s.Mail(nil, k.Address, session.ID{}, 10, 1<<20)
		if err != nil || len(list) != 1 || fmt.Sprintf("%+v", list[0]) != fmt.Sprintf("%+v", k) {
			t.Fatalf("%s: got %+v, %v\nwant %+v", when, list, err, k)
		}
		if got := fatesOf(t, s, k.ID); got != "acme/phone=queued@0" {
			t.Fatalf("%s: fates %s", when, got)
		}
		want := "[acme/phone n1.1.7 3600000 news acme/tv n1.1.8 3600000 ]"
		if got := fmt.Sprint(mailboxesOf(t, s)); got != want {
			t.Fatalf("%s: mailboxes %s, want %s", when, got, want)
		}
		if st := s.MailStats(); st.Messages != 2 {
			t.Fatalf("%s: %+v", when, st)
		}
	}
	check("kept")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, testConfig("d"), c.now, fs)
	check("after a restart")
	gone := func(when string) {
		t.Helper()
		if got := mailOf(t, s, "acme/phone", session.ID{}, 10, 1<<20); got != "" {
			t.Fatalf("%s: it still waits: %s", when, got)
		}
		if got := fatesOf(t, s, k.ID); got != "acme/phone=acked@5" {
			t.Fatalf("%s: fates %q", when, got)
		}
		if st := s.MailStats(); st.Messages != 1 {
			t.Fatalf("%s: %+v", when, st)
		}
	}
	s.Settle(k.Address, k.ID, session.Acked, c.ms.Load()+5)
	gone("settled, not on disk yet")
	mustPost(t, s, keptFor("acme/pc", 2, 1, "next"))
	s.Settle(addressOf("acme/pc"), keptFor("acme/pc", 2, 1, "").ID, session.Expired, 0)
	gone("settled and on disk")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, testConfig("d"), c.now, fs)
	gone("settled, after a restart")
	if n := countKeys(s, keyMail) + countKeys(s, keyWaiting); n != 2 {
		t.Errorf("%d keys are left of one message, want 2", n)
	}
}

func TestMailIsInOrderOfIDs(t *testing.T) {
	c := newClock()
	fs := vfs.NewMem()
	var s *Store
	for epoch := uint64(1); epoch <= 3; epoch++ {
		s = mustOpen(t, testConfig("d"), c.now, fs)
		for _, number := range []uint64{300, 2, 1 << 40, 1} {
			mustPost(t, s, keptFor("a/d", epoch, number, fmt.Sprint(epoch, ".", number)), keptFor("a/d2", epoch, number, "x"))
		}
		foreign := keptFor("a/d", 2, 3, fmt.Sprint("n2.", epoch))
		foreign.Node = "n2"
		mustPost(t, s, foreign) // again each time: handed over twice
		if epoch < 3 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	id := func(epoch, number uint64) session.ID { return keptFor("a/d", epoch, number, "").ID }
	all := fmt.Sprint("1.1 1.2 1.300 1.", 1<<40, " 2.1 2.2 n2.3 2.300 2.", 1<<40, " 3.1 3.2 3.300 3.", 1<<40)
	for _, tt := range []struct {
		name        string
		after       session.ID
		n, bytesMax int
		want        string
	}{
		{"all", session.ID{}, 100, 1 << 20, all},
		{"three", session.ID{}, 3, 1 << 20, "1.1 1.2 1.300"},
		{"none", session.ID{}, 0, 1 << 20, ""},
		{"after the first epoch", id(1, 1<<40), 2, 1 << 20, "2.1 2.2"},
		{"after one that is not there", id(2, 4), 1, 1 << 20, "2.300"},
		{"after all", id(3, 1<<40), 2, 1 << 20, ""},
		{"at least one, however large", session.ID{}, 100, 1, "1.1"},
		{"as many as fit", session.ID{}, 100, len("1.1") + len("1.2"), "1.1 1.2"},
		{"none that does not fit", session.ID{}, 100, len("1.1") + len("1.2") + 1, "1.1 1.2"},
	} {
		if got := mailOf(t, s, "a/d", tt.after, tt.n, tt.bytesMax); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	foreign := id(2, 3)
	foreign.Node = "n2"
	s.Settle(addressOf("a/d"), foreign, session.Acked, c.ms.Load())
	mustPost(t, s, keptFor("b/d", 3, 9, ""))
	if err := s.mail.db.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := mailOf(t, s, "a/d", id(2, 2), 1, 1<<20); got != "2.300" {
		t.Errorf("a message that came twice is there once more when it is settled: %s", got)
	}
	if st := s.MailStats(); st.Repeated != 0 {
		t.Errorf("%d keys were removed that were set more than once", st.Repeated)
	}
}

func TestMailboxesOfSimilarNamesAreApart(t *testing.T) {
	s := mustOpen(t, testConfig("d"), newClock().now, vfs.NewMem())
	addresses := []string{"a/b", "a/bb", "aa/b", "ab/b", "é/ü", "a/b!"}
	for i, a := range addresses {
		mustPost(t, s, keptFor(a, 1, uint64(i+1), a))
	}
	for _, a := range addresses {
		if got := mailOf(t, s, a, session.ID{}, 10, 1<<20); got != a {
			t.Errorf("mail of %s: %q", a, got)
		}
	}
}

func TestFatesOfAnAccountsDevices(t *testing.T) {
	c := newClock()
	s := mustOpen(t, testConfig("d"), c.now, vfs.NewMem())
	var list []session.Kept
	for _, d := range []string{"c", "a", "b"} {
		list = append(list, keptFor("acme/"+d, 1, 64, "p"))
	}
	mustPost(t, s, list...)
	mustPost(t, s, keptFor("acme/a", 1, 65, "p"), keptFor("acme/a", 1, 128, "p"))
	s.Settle(addressOf("acme/b"), list[0].ID, session.Cancelled, c.ms.Load()+2)
	s.Settle(addressOf("acme/a"), keptFor("", 1, 65, "").ID, session.Expired, c.ms.Load()+3)
	for _, where := range []string{"memory", "disk"} {
		if got := fatesOf(t, s, list[0].ID); got != "acme/a=queued@0 acme/b=cancelled@2 acme/c=queued@0" {
			t.Errorf("in %s: %s", where, got)
		}
		if got := fatesOf(t, s, keptFor("", 1, 65, "").ID); got != "acme/a=expired@3" {
			t.Errorf("in %s, its neighbour: %s", where, got)
		}
		for _, never := range []session.ID{keptFor("", 1, 66, "").ID, keptFor("", 2, 64, "").ID} {
			if got := fatesOf(t, s, never); got != "" {
				t.Errorf("in %s: %s was never kept: %s", where, never.Text(), got)
			}
		}
		mustPost(t, s, keptFor("x/y", 1, 1000, where), keptFor("x/z", 1, 1001, where))
		s.Settle(addressOf("x/y"), keptFor("x/y", 1, 1000, "").ID, session.Acked, 0)
	}
}

func TestEpochsGoOnWithoutTheRecords(t *testing.T) {
	dir := t.TempDir()
	for range 3 {
		s, err := Open(testConfig(dir), "n1", quiet, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		mustPost(t, s, keptFor("a/d", s.Epoch(), 1, fmt.Sprint(s.Epoch())))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries { // somebody moves the records away
		if !e.IsDir() {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				t.Fatal(err)
			}
		}
	}
	s := mustOpen(t, testConfig(dir), time.Now, vfs.Default)
	if s.Epoch() != 4 {
		t.Errorf("epoch %d, want 4: ids of an earlier process would be made again", s.Epoch())
	}
	if got := mailOf(t, s, "a/d", session.ID{}, 9, 1<<20); got != "1 2 3" {
		t.Errorf("mail %q", got)
	}
}

func TestSettlementsAloneGetToTheDisk(t *testing.T) {
	cfg := testConfig("d")
	cfg.LossWindow = 4 * time.Millisecond
	s := mustOpen(t, cfg, newClock().now, vfs.NewMem())
	for n := uint64(1); n <= 3; n++ { // three times through the empty queue
		k := keptFor("a/d", 1, n, "x")
		mustPost(t, s, k)
		s.Settle(k.Address, k.ID, session.Acked, 0)
		eventually(t, "the commit", func() bool { return s.MailStats().Settled == n })
	}
	if n := countKeys(s, keyMail) + countKeys(s, keyWaiting); n != 0 {
		t.Errorf("%d keys are left", n)
	}
}

func TestMailboxesSetsTheCountRight(t *testing.T) {
	fs := vfs.NewMem()
	s := mustOpen(t, testConfig("d"), newClock().now, fs)
	k := keptFor("a/d", 1, 1, "x")
	mustPost(t, s, k, keptFor("a/e", 1, 1, "x"), keptFor("a/f", 1, 1, "x"))
	s.Settle(k.Address, k.ID, session.Acked, 0)
	s.Settle(k.Address, k.ID, session.Acked, 0) // which is a defect of the caller
	mustPost(t, s, keptFor("b/d", 1, 2, "x"))
	if n := s.MailStats().Messages; n != 2 {
		t.Errorf("%d messages after a double settlement, want 2", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, testConfig("d"), newClock().now, fs)
	mustPost(t, s, keptFor("c/d", 2, 1, "x"))
	if n := s.MailStats().Messages; n != 3 {
		t.Errorf("%d messages after a restart, want 3", n)
	}
	if got := mailboxesOf(t, s); len(got) != 4 {
		t.Errorf("mailboxes %v", got)
	}
	if n := s.MailStats().Messages; n != 4 {
		t.Errorf("%d messages after all were seen, want 4", n)
	}
	stopped := 0
	if err := s.Mailboxes(func(session.Address, session.ID, int64, string) bool { stopped++; return stopped < 2 }); err != nil || stopped != 2 {
		t.Errorf("emit said stop after %d: %v", stopped, err)
	}
	if n := s.MailStats().Messages; n != 4 {
		t.Errorf("%d messages after a look that was stopped, want 4", n)
	}
}

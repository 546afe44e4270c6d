package store

import (
	"errors"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/roostpush/roost/session"
)

func TestLimitsOfMailHaveNames(t *testing.T) {
	free := vfs.DiskUsage{AvailBytes: 1 << 40, TotalBytes: 1 << 40, UsedBytes: 1}
	for _, tt := range []struct {
		name  string
		max   int
		avail uint64
		want  string
	}{
		{"messages", 3, 1 << 40, "mail_messages_max (3)"},
		{"free bytes", 1000, 1000, "1000 bytes are free on the disk of d, mail_free_bytes_min is"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fs := vfs.NewMem()
			fs.TestingSetDiskUsage(free)
			cfg := testConfig("d")
			cfg.MailMessagesMax = tt.max
			s := mustOpen(t, cfg, newClock().now, fs)
			mustPost(t, s, keptFor("a/d", 1, 1, "x"), keptFor("a/d", 1, 2, "x"))
			fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: tt.avail, TotalBytes: 1 << 40, UsedBytes: 1})
			n := uint64(2)
			post := func() error {
				n++
				return postErr(s, keptFor("a/e", 1, n, "x"), keptFor("a/f", 1, n, "x"))
			}
			var err error
			eventually(t, "a refusal", func() bool { err = post(); return err != nil })
			if !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want ErrFull with %q", err, tt.want)
			}
			list, err := s.Mail(nil, addressOf("a/f"), session.ID{}, 1<<20, 1<<20)
			if st := s.MailStats(); err != nil || st.Refused != 2 || st.Messages != int64(2+2*len(list)) || len(list) != int(n-3) {
				t.Errorf("%d messages of %d, %v, %+v", len(list), n, err, st)
			}
			// And there is room again by itself.
			fs.TestingSetDiskUsage(free)
			s.Settle(addressOf("a/d"), keptFor("a/d", 1, 1, "").ID, session.Acked, 0)
			eventually(t, "room", func() bool { return post() == nil })
		})
	}
}

func TestMailThatCannotBeKept(t *testing.T) {
	s := mustOpen(t, testConfig("d"), newClock().now, vfs.NewMem())
	for want, change := range map[string]func(*session.Kept){
		"without a zero byte":         func(k *session.Kept) { k.Account = "a\x00b" },
		"1 to 128 bytes":              func(k *session.Kept) { k.Device = "" },
		"node id":                     func(k *session.Kept) { k.Node = "" },
		"epoch 9 of this node":        func(k *session.Kept) { k.Epoch = 9 },
		"kind 3":                      func(k *session.Kept) { k.Kind = session.Binary + 1 },
		"priority 3 does not exist":   func(k *session.Kept) { k.Priority = session.PriorityLow + 1 },
		`node id "N 1"`:               func(k *session.Kept) { k.Node = "N 1" },
		"message n1.1.1 for a/d\x00x": func(k *session.Kept) { k.Device = "d\x00x" },
	} {
		good, bad := keptFor("a/good", 1, 2, "x"), keptFor("a/d", 1, 1, "x")
		change(&bad)
		if err := postErr(s, good, bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v lacks %q", err, want)
		}
	}
	if got := mailboxesOf(t, s); len(got) > 0 {
		t.Errorf("of a list with a bad message the others were kept: %v", got)
	}
}

func TestMailAfterClose(t *testing.T) {
	fs := vfs.NewMem()
	s := mustOpen(t, testConfig("d"), newClock().now, fs)
	told := make(chan error, 1)
	s.Post([]session.Kept{keptFor("a/d", 1, 1, "waits")}, func(err error) { told <- err })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-told; err != nil {
		t.Errorf("posted before Close: %v", err)
	}
	if err := postErr(s, keptFor("a/d", 1, 2, "late")); !errors.Is(err, ErrClosed) {
		t.Errorf("posted after Close: %v", err)
	}
	s.Settle(addressOf("a/d"), keptFor("a/d", 1, 1, "").ID, session.Acked, 0)
	if n := s.MailStats().Dropped; n != 1 {
		t.Errorf("%d outcomes dropped after Close, want 1", n)
	}
	for name, err := range map[string]error{
		"Mail":      func() error { _, err := s.Mail(nil, addressOf("a/d"), session.ID{}, 1, 1); return err }(),
		"Fates":     func() error { _, _, err := s.Fates(session.ID{}); return err }(),
		"Mailboxes": s.Mailboxes(nil),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s after Close: %v", name, err)
		}
	}
	s = mustOpen(t, testConfig("d"), newClock().now, fs)
	if got := mailOf(t, s, "a/d", session.ID{}, 9, 1<<20); got != "waits" {
		t.Errorf("after a restart: %q", got)
	}
}

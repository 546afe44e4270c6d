package store

import (
	"errors"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestHealthOfTwoDatabases: a damaged file of records keeps no message waiting, a damaged
// file of messages does, and both make the node unready; each names its remedy.
func TestHealthOfTwoDatabases(t *testing.T) {
	s := mustOpen(t, testConfig("d"), newClock().now, vfs.NewMem())
	damage := pebble.DataCorruptionInfo{Path: "000007.sst", Details: errors.New("checksum mismatch")}
	said := func(err error, parts ...string) {
		t.Helper()
		for _, part := range parts {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("it says %v, not %s", err, part)
			}
		}
	}
	both := func(records, messages error) {
		t.Helper()
		if (s.Health() != nil) != (records != nil || messages != nil) || (s.MailHealth() != nil) != (messages != nil) {
			t.Errorf("health %v, of messages %v", s.Health(), s.MailHealth())
		}
	}
	both(nil, nil)
	records := s.options(nil, &s.health.records, "move it away").EventListener
	messages := s.mailOptions().EventListener

	records.BackgroundError(errors.New("no room for records"))
	both(errors.New("records"), nil)
	said(s.Health(), "writing tables in d fails: no room for records")
	messages.FlushEnd(pebble.FlushInfo{}) // of the other database
	both(errors.New("records"), nil)
	records.FlushEnd(pebble.FlushInfo{})
	both(nil, nil)

	messages.BackgroundError(errors.New("no room for messages"))
	both(nil, errors.New("messages"))
	said(s.MailHealth(), "writing tables in d/mail fails: no room for messages")
	messages.CompactionEnd(pebble.CompactionInfo{})
	both(nil, nil)

	records.DataCorruption(damage)
	both(errors.New("records"), nil)
	said(s.Health(), "damaged file in d: 000007.sst: checksum mismatch; move it away")
	messages.DataCorruption(damage)
	both(errors.New("records"), errors.New("messages"))
	said(s.MailHealth(), "damaged file in d/mail", "bring the directory back from a copy")
}

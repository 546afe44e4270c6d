package cluster

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/api"
	"github.com/roostpush/roost/session/route"
)

var listKey = route.Key{3}

// listing is a lists and its clock.
type listed struct {
	lists
	nowMS int64
}

func newListed(cfg Listing) *listed {
	l := new(listed)
	l.init(cfg)
	return l
}

var testListing = Listing{EntriesMax: 3, BytesMax: 64 << 10, AgeMin: time.Second, AgeMax: 4 * time.Second}

func hashOf(account string) uint64 { _, hash := listKey.Address(account, ""); return hash }

func (l *listed) fill(account string, devices ...string) {
	e := l.begin(hashOf(account), account)
	l.keep(e, knownOf(devices...), l.nowMS)
}

func knownOf(devices ...string) (list []api.Known) {
	for _, d := range devices {
		list = append(list, api.Known{Device: d})
	}
	return list
}

// has returns the devices that are remembered, or "-".
func (l *listed) has(account, device string) string {
	list, ok := l.get(hashOf(account), session.Address{Account: account, Device: device}, l.nowMS)
	if !ok {
		return "-"
	}
	var names []string
	for i := range list {
		names = append(names, list[i].Device)
	}
	return strings.Join(names, " ")
}

func TestListsAreForgotten(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(l *listed)
		want   string
	}{
		{"nothing happens", func(l *listed) {}, "phone tv"},
		{"another account changes", func(l *listed) { l.changed(hashOf("bob")) }, "phone tv"},
		{"the account changes", func(l *listed) { l.changed(hashOf("alice")) }, "-"},
		{"a fact comes in", func(l *listed) {
			l.changedFacts(listKey, []session.Fact{{Address: session.Address{Account: "alice", Device: "x"}}})
		}, "-"},
		{"the homes move", func(l *listed) { l.clear() }, "-"},
		{"time passes", func(l *listed) { l.nowMS += 1000 }, "-"},
		{"others are asked for", func(l *listed) { l.fill("b"); l.fill("c"); l.has("alice", ""); l.fill("d"); l.fill("e") }, "phone tv"},
		{"many are", func(l *listed) { l.fill("b"); l.fill("c"); l.fill("d") }, "-"},
		{"a large one is", func(l *listed) {
			for i := range 3 {
				l.fill("b", strings.Repeat("x", 7000+i))
			}
		}, "phone tv"},
		{"one too large is", func(l *listed) { l.fill("alice", strings.Repeat("x", 10_000)) }, "-"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newListed(testListing)
			if got := l.has("alice", ""); got != "-" {
				t.Fatalf("from nowhere: %s", got)
			}
			l.fill("alice", "phone", "tv")
			tc.change(l)
			if got := l.has("alice", ""); got != tc.want {
				t.Fatalf("%s, want %s", got, tc.want)
			}
			if s := l.stats(); s.Entries > testListing.EntriesMax || s.Bytes < 0 || s.Bytes > testListing.BytesMax {
				t.Fatalf("%+v", s)
			}
		})
	}
}

// TestListsBytesMax: many small ones make room as well as few large ones.
func TestListsBytesMax(t *testing.T) {
	cfg := testListing
	cfg.EntriesMax = 1000
	l := newListed(cfg)
	for i := range 200 {
		l.fill(fmt.Sprint("account", i), strings.Repeat("x", 7000))
	}
	if s := l.stats(); s.Bytes > cfg.BytesMax || s.Entries < 7 || s.Evicted != uint64(200-s.Entries) {
		t.Fatalf("%+v", s)
	}
	l.clear()
	if s := l.stats(); s.Bytes != 0 || s.Entries != 0 || l.length.Load() != 0 {
		t.Fatalf("%+v", s)
	}
}

func TestListOfOneDevice(t *testing.T) {
	l := newListed(testListing)
	l.fill("alice", "phone", "tv", "phone")
	if got := l.has("alice", "phone"); got != "phone phone" {
		t.Fatal(got)
	}
	if got := l.has("alice", "watch"); got != "-" {
		t.Fatalf("that there is none is believed: %q", got)
	}
}

// TestChangeWhileAsked: an answer that may be older than a change is not kept.
func TestChangeWhileAsked(t *testing.T) {
	l := newListed(testListing)
	e := l.begin(hashOf("alice"), "alice")
	l.changed(hashOf("alice"))
	l.keep(e, knownOf("tv"), 0)
	if got := l.has("alice", ""); got != "-" {
		t.Fatal(got)
	}
	e = l.begin(hashOf("alice"), "alice")
	l.clear()
	again := l.begin(hashOf("alice"), "alice")
	l.keep(again, knownOf("phone"), 0)
	l.keep(e, knownOf("tv"), 0)
	if got := l.has("alice", ""); got != "phone" {
		t.Fatal(got)
	}
}

// TestListAges: twice as long each time it was right, from the beginning after a change.
func TestListAges(t *testing.T) {
	l := newListed(testListing)
	for _, age := range []int64{1000, 2000, 4000, 4000} {
		l.fill("alice", "tv")
		l.nowMS += age - 1
		if got := l.has("alice", ""); got != "tv" {
			t.Fatalf("it is not believed for %d ms", age)
		}
		l.nowMS++
		if got := l.has("alice", ""); got != "-" {
			t.Fatalf("it is believed for more than %d ms", age)
		}
	}
	l.changed(hashOf("alice"))
	l.fill("alice", "tv")
	l.nowMS += 1000
	if got := l.has("alice", ""); got != "-" {
		t.Fatal("it is believed as if nothing had changed")
	}
}

func BenchmarkListChanged(b *testing.B) {
	for _, entries := range []int{0, 8000} {
		l := newListed(Listing{EntriesMax: 1 << 20, BytesMax: 1 << 30, AgeMin: time.Hour, AgeMax: time.Hour})
		for i := range entries {
			l.fill(fmt.Sprint("account", i), "phone")
		}
		other := hashOf("bob")
		b.Run(fmt.Sprint("entries=", entries), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				l.changed(other)
			}
		})
	}
}

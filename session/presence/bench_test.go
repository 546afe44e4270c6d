package presence

import (
	"fmt"
	"testing"
)

// BenchmarkHint is what presence adds to each session that opens or closes on any node.
func BenchmarkHint(b *testing.B) {
	for _, watchers := range []int{0, 18_000} {
		s := newScene(nil)
		for i := range watchers {
			s.watch(b, fmt.Sprint("account", i), "phone")
		}
		for _, tc := range []struct{ name, account string }{{"unwatched", "bob"}, {"watched", "account7"}} {
			if watchers == 0 && tc.name == "watched" {
				continue
			}
			tv := s.session(tc.account, "tv")
			address, hash := testKey.Address(tc.account, "tv")
			b.Run(fmt.Sprintf("watchers=%d/%s/elsewhere", watchers, tc.name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					s.Changed(address, hash, false)
				}
			})
			b.Run(fmt.Sprintf("watchers=%d/%s/here", watchers, tc.name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					s.Closed(tv)
					s.Unwatch(tv)
				}
			})
		}
	}
}

// BenchmarkLook is what a tick does for one watched account with three devices.
func BenchmarkLook(b *testing.B) {
	const accounts = 1000
	s := newScene(func(c *Config) { c.AccountsPerTick = accounts })
	for i := range accounts {
		account := fmt.Sprint("account", i)
		s.open(account, "tv")
		s.open(account, "tablet")
		s.watch(b, account, "phone")
	}
	s.pass(5e9)
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += accounts {
		s.Sweep(false)
		s.clock += 25
		s.Tick(s.clock, s.clock)
	}
}

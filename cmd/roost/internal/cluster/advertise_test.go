package cluster

import (
	"net/netip"
	"strings"
	"testing"
)

// TestAdvertised has listeners where operators put them, and says what others are told.
func TestAdvertised(t *testing.T) {
	everywhere := Addresses{Public: "[::]:8080", Internal: "0.0.0.0:8081", Links: "[::]:8082"}
	beside := Addresses{Public: "127.0.0.1:8080", Internal: "127.0.0.1:8081", Links: "10.0.0.1:8082"}
	loopback := Addresses{Public: "127.0.0.1:8080", Internal: "127.0.0.1:8081", Links: "127.0.0.1:8082"}
	for _, c := range []struct {
		name, host  string
		listen, set Addresses
		want        Addresses
		err         string // a part of it
	}{
		{"wildcards get the host of gossip", "10.0.0.1", everywhere, Addresses{},
			Addresses{Public: "10.0.0.1:8080", Internal: "10.0.0.1:8081", Links: "10.0.0.1:8082"}, ""},
		{"of IPv6, too", "fd00::1", Addresses{Public: "[::]:8080", Internal: "[::1]:8081", Links: "[::]:8082"}, Addresses{},
			Addresses{Public: "[fd00::1]:8080", Links: "[fd00::1]:8082"}, ""},
		{"IPv4 alone is not reached by IPv6", "fd00::1", everywhere, Addresses{},
			Addresses{}, "set internal to [::]:8081, or advertise.internal"},
		{"what only this host reaches is not told", "10.0.0.1", beside, Addresses{}, Addresses{Links: "10.0.0.1:8082"}, ""},
		{"links on loopback are of no use", "10.0.0.1", loopback, Addresses{}, Addresses{}, "set peer.listen to 10.0.0.1:8082, or advertise.links"},
		{"all on loopback", "127.0.0.1", loopback, Addresses{}, loopback, ""},
		{"what is set counts", "10.0.0.1", loopback, Addresses{Public: "roost.example:443", Links: "192.0.2.7:9"},
			Addresses{Public: "roost.example:443", Links: "192.0.2.7:9"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			told, err := advertised(netip.MustParseAddr(c.host), c.listen, c.set)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("error is %v", err)
				}
				return
			}
			if err != nil || told != c.want {
				t.Errorf("told %+v, %v", told, err)
			}
		})
	}
}

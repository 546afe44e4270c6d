package config

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// checks collects problems of one section; the key is relative to it.
type checks Problems

func (ps *checks) add(key, format string, args ...any) {
	*ps = append(*ps, Problem{Key: key, Message: fmt.Sprintf(format, args...)})
}

func (ps *checks) err() error { return Problems(*ps).err() }

func (ps *checks) oneOf(key, value string, allowed ...string) {
	for _, a := range allowed {
		if value == a {
			return
		}
	}
	ps.add(key, "found %q; one of %s is wanted, the nearest is %s", value, strings.Join(allowed, ", "), nearest(value, allowed))
}

func (ps *checks) listener(key, address string) {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		ps.add(key, "found %q; host:port is wanted: 127.0.0.1:8080, or :8080 for every interface", address)
	}
}

// dialable checks an address that others are told to dial; empty is none.
func (ps *checks) dialable(key, address string) {
	if address == "" {
		return
	}
	host, port, err := net.SplitHostPort(address)
	n, _ := strconv.ParseUint(port, 10, 16)
	switch ip := net.ParseIP(host); {
	case err != nil || n == 0 || len(address) > dialableBytesMax || strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		ps.add(key, "found %.80q; host:port is wanted, a name or an IP address and a number: 192.0.2.1:8080", address)
	case host == "" || ip != nil && ip.IsUnspecified():
		ps.add(key, "found %q; nobody can dial a wildcard: name the host, 192.0.2.1:%s", address, port)
	}
}

// dialableBytesMax is what gossip has room for.
const dialableBytesMax = 150

// within asks that a value be in a range.
func within[T int | time.Duration](ps *checks, key string, value, low, high T) {
	if value < low || value > high {
		ps.add(key, "is %v; %v to %v are allowed", value, low, high)
	}
}

// less asks that one size stay below another package's, and says why.
func (ps *checks) less(key string, value int, otherKey string, other int, why string) {
	if value >= other {
		ps.add(key, "%d does not fit within %s: %s", value, otherKey, why)
	}
}

// sooner asks that one time be over before another package's, and says why.
func (ps *checks) sooner(key string, value time.Duration, otherKey string, other time.Duration, why string) {
	if value >= other {
		ps.add(key, "%v is not less than %s, which is %v: %s", value, otherKey, other, why)
	}
}

package config

import (
	"fmt"
	"net"
	"strings"
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

// less asks that one size stay below another package's, and says why.
func (ps *checks) less(key string, value int, otherKey string, other int, why string) {
	if value >= other {
		ps.add(key, "%d does not fit within %s: %s", value, otherKey, why)
	}
}

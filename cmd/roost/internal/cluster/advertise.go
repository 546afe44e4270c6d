package cluster

import (
	"fmt"
	"net"
	"net/netip"
)

// Addresses are where this node takes connections, host:port each.
type Addresses struct {
	Public   string // of devices; empty: not told
	Internal string // of services and operators; empty: not told
	Links    string // of other nodes
}

// advertised returns what the other nodes are told: what is set, else the listeners'
// addresses as others may dial them, with host, at which they reach this node for
// gossip, in place of a wildcard. A listener on loopback is told to nobody unless host is
// loopback too: a balancer in front of it, or services beside it, are all that reach it.
// Without links a node is of no use to the others, so there that is an error.
func advertised(host netip.Addr, listen, set Addresses) (told Addresses, err error) {
	for _, a := range [...]struct {
		told         *string
		listen, set  string
		name, option string
	}{
		{&told.Public, listen.Public, set.Public, "public", "listen"},
		{&told.Internal, listen.Internal, set.Internal, "internal", "internal"},
		{&told.Links, listen.Links, set.Links, "links", "peer.listen"},
	} {
		if *a.told = a.set; a.set != "" || a.listen == "" {
			continue
		}
		at, err := netip.ParseAddrPort(a.listen)
		if err != nil {
			return told, fmt.Errorf("cluster: the address of the %s listener: %w", a.name, err)
		}
		ip := at.Addr().Unmap()
		switch {
		case ip == netip.IPv4Unspecified() && host.Is6():
			return told, fmt.Errorf("cluster: the %s listener is on %s, IPv4 alone, and other nodes reach this one at %s: set %s to [::]:%d, or advertise.%s to what they can dial",
				a.name, a.listen, host, a.option, at.Port(), a.name)
		case ip.IsUnspecified():
			*a.told = netip.AddrPortFrom(host, at.Port()).String()
		case !ip.IsLoopback() || host.IsLoopback():
			*a.told = a.listen
		case a.name == "links":
			return told, fmt.Errorf("cluster: links are taken at %s, which other nodes, that reach this one at %s, cannot dial: set peer.listen to %s, or advertise.links to what they can dial",
				a.listen, host, net.JoinHostPort(host.String(), fmt.Sprint(at.Port())))
		}
	}
	return told, nil
}

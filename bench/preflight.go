package bench

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/roostpush/roost/bench/hostinfo"
	"github.com/roostpush/roost/bench/target"
)

// What one connection needs of the generator's machine.
const (
	descriptorReserve = 64       // of a process: pipes, files, epoll
	generatorBytes    = 300      // of a worker, rare parts included
	bridgeDescriptors = 3        // of a process for each wss:// connection: a pair, and the socket
	bridgeBytes       = 60 << 10 // of a worker for each: TLS, two goroutines and their buffers
	kernelBytes       = 4 << 10  // of the kernel for one end of a connection (DESIGN.md, "Where the cost goes")
	burstPerSecond    = 1_000    // attempts a second above which a short accept queue is worth a word
	memoryShare       = 9.0 / 10 // of what is available
)

// Finding is something about this machine that the run should know before it starts.
type Finding struct {
	Fatal  bool   // the run cannot succeed
	What   string // what is wrong
	Change string // what to change
}

// String returns both sentences.
func (f Finding) String() string { return f.What + ": " + f.Change }

// Preflight compares what the scenario needs with what this machine grants. It binds
// a socket to the first and last source address and changes nothing.
func Preflight(s Scenario, t *target.Target, l hostinfo.Limits) []Finding {
	var all []Finding
	fatal := func(change, what string, args ...any) {
		all = append(all, Finding{true, fmt.Sprintf(what, args...), change})
	}
	most := s.connectionsMax()
	each, bytes := int64(1), int64(generatorBytes)
	if t.Secure() {
		each, bytes = bridgeDescriptors, bridgeBytes
	}
	processes := int64(s.Processes)
	share := (most + processes - 1) / processes
	if room := (l.Descriptors - descriptorReserve) / each; l.Descriptors > 0 && share > room {
		fatal(fmt.Sprintf("pass --procs %d, or raise the limit with ulimit -n", (most+room-1)/max(room, 1)),
			"%d connections at once need %d descriptors in each of %d process(es), and %d are allowed", most, share*each, processes, l.Descriptors)
	}
	sources := max(int64(len(t.Sources)), 1)
	if ports := l.Ports(); l.PortLast > 0 && most > ports*sources {
		fatal(fmt.Sprintf("pass %d or more addresses with --source, or widen net.ipv4.ip_local_port_range (now %d-%d)",
			(most+ports-1)/ports, l.PortFirst, l.PortLast),
			"%d connections at once from %d source address(es) run out of ports: each has %d", most, sources, ports)
	}
	if need := most * (bytes + kernelBytes); l.AvailableBytes > 0 && float64(need) > float64(l.AvailableBytes)*memoryShare {
		fatal("lower --connections, or use a machine with more memory",
			"%d connections need about %d MiB here, and %d MiB are available", most, need>>20, l.AvailableBytes>>20)
	}
	if len(t.Sources) > 0 {
		for _, source := range []netip.Addr{t.Sources[0], t.Sources[len(t.Sources)-1]} {
			if err := bindable(source); err != nil {
				fatal(fmt.Sprintf("add it, for example: ip address add %s/32 dev lo", source), "source address %s is not on this machine (%v)", source, err)
			}
		}
	}
	return append(all, acceptQueue(s, l)...)
}

func bindable(addr netip.Addr) error {
	listener, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)))
	if err != nil {
		return err
	}
	return listener.Close()
}

// acceptQueue warns when the rate could overflow an accept queue while the server is
// away for a moment. It is this machine's limit: true for a local server only.
func acceptQueue(s Scenario, l hostinfo.Limits) []Finding {
	for _, p := range s.Phases {
		if l.Somaxconn > 0 && p.PerSecond >= burstPerSecond && p.PerSecond/10 > float64(l.Somaxconn) {
			return []Finding{{false,
				fmt.Sprintf("net.core.somaxconn is %d: a server on this machine that pauses for 100 ms drops connections at %.0f a second", l.Somaxconn, p.PerSecond),
				"raise it with sysctl net.core.somaxconn=65535"}}
		}
	}
	return nil
}

package hostinfo

import (
	"os"
	"strconv"
	"strings"
)

// Limits is what this machine grants a load.
type Limits struct {
	Descriptors    int64 // this process's RLIMIT_NOFILE, after RaiseDescriptors
	PortFirst      int64 // net.ipv4.ip_local_port_range
	PortLast       int64
	AvailableBytes int64 // MemAvailable
	Somaxconn      int64 // net.core.somaxconn
}

// Ports returns how many connections one source address may have to one target.
func (l Limits) Ports() int64 { return l.PortLast - l.PortFirst + 1 }

// ReadLimits raises this process's descriptor limit to its hard limit and reads the
// rest. What cannot be read stays 0, which means unknown.
func ReadLimits() Limits {
	var l Limits
	l.Descriptors = RaiseDescriptors()
	if text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		if f := strings.Fields(string(text)); len(f) == 2 {
			l.PortFirst, _ = strconv.ParseInt(f[0], 10, 64)
			l.PortLast, _ = strconv.ParseInt(f[1], 10, 64)
		}
	}
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		l.AvailableBytes = readKB(text, "MemAvailable")
	}
	if text, err := os.ReadFile("/proc/sys/net/core/somaxconn"); err == nil {
		l.Somaxconn, _ = strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	}
	return l
}

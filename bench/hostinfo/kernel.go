package hostinfo

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// socketCaches are the slab caches that a TCP connection fills (slabinfo(5)): the
// socket and its inode, the file and its name, its place in an epoll set, and what
// is queued on it.
var socketCaches = map[string]bool{
	"TCP": true, "TCPv6": true, "sock_inode_cache": true, "filp": true, "dentry": true,
	"eventpoll_epi": true, "eventpoll_pwq": true, "tcp_bind_bucket": true, "tcp_bind2_bucket": true,
	"request_sock_TCP": true, "skbuff_small_head": true, "skbuff_head_cache": true,
}

// Kernel is one reading of the kernel's memory on this machine, both ends of every
// local connection included.
type Kernel struct {
	SlabBytes      int64            `json:"slab_bytes"`       // all slab caches, /proc/meminfo
	SocketBytes    int64            `json:"socket_bytes"`     // those a connection fills; 0 when slabinfo may not be read
	TCPMemoryBytes int64            `json:"tcp_memory_bytes"` // queued data, /proc/net/sockstat
	Caches         map[string]int64 `json:"caches,omitempty"` // bytes by cache, the socket ones
}

// ReadKernel reads the kernel's share. Reading slabinfo takes root; without it the
// figure is Slab of /proc/meminfo alone.
func ReadKernel() (Kernel, error) {
	meminfo, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return Kernel{}, fmt.Errorf("hostinfo: kernel memory: %w", err)
	}
	k := Kernel{SlabBytes: readKB(meminfo, "Slab")}
	if slabinfo, err := os.ReadFile("/proc/slabinfo"); err == nil {
		k.Caches = parseSlab(string(slabinfo))
		for _, n := range k.Caches {
			k.SocketBytes += n
		}
	}
	if sockstat, err := os.ReadFile("/proc/net/sockstat"); err == nil {
		k.TCPMemoryBytes = parseTCPMemory(string(sockstat)) * int64(os.Getpagesize())
	}
	return k, nil
}

// parseSlab multiplies each socket cache's objects by their size.
func parseSlab(text string) map[string]int64 {
	caches := map[string]int64{}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 4 || !socketCaches[fields[0]] {
			continue
		}
		count, err1 := strconv.ParseInt(fields[2], 10, 64)
		size, err2 := strconv.ParseInt(fields[3], 10, 64)
		if err1 == nil && err2 == nil {
			caches[fields[0]] = count * size
		}
	}
	return caches
}

// parseTCPMemory reads the pages of "TCP: inuse 5 orphan 0 tw 0 alloc 8 mem 1".
func parseTCPMemory(sockstat string) int64 {
	for line := range strings.Lines(sockstat) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != "TCP:" {
			continue
		}
		for i := 1; i+1 < len(fields); i += 2 {
			if fields[i] == "mem" {
				n, _ := strconv.ParseInt(fields[i+1], 10, 64)
				return n
			}
		}
	}
	return 0
}

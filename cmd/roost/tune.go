package main

import (
	"log/slog"
	"net"
	"os"
	"path"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
)

// collectorPercent is GOGC for a node: its live heap is what connections cost, which
// hardly changes, so collecting at half as much garbage again costs little and keeps
// the process small. The environment's GOGC is stronger.
const collectorPercent = 50

// memoryShare is the share of the machine's, or the control group's, memory that Go may
// use: the rest is the kernel's, which spends some 4 KB on each socket (LIBRARIES.md
// section 1.1) where the process spends about a tenth of that.
const memoryShare = 0.4

// tuneCollector sets GOGC and GOMEMLIMIT from what the node knows (DESIGN.md decision
// 13), unless the environment has them.
func tuneCollector(log *slog.Logger) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectorPercent)
	}
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	if total := memoryTotal(); total > 0 {
		limit := int64(float64(total) * memoryShare)
		debug.SetMemoryLimit(limit)
		log.Debug("memory limit of the collector", "bytes", limit, "of", total)
	}
}

// memoryTotal is the control group's limit, else the machine's memory, in bytes; 0 when
// neither can be read (not Linux).
func memoryTotal() int64 {
	total := int64(0)
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, "MemTotal:"); ok {
				kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
				if err == nil {
					total = kib << 10
				}
				break
			}
		}
	}
	for _, file := range groupLimits("/proc/self/cgroup") {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && limit > 0 && (total == 0 || limit < total) {
			total = limit
		}
	}
	return total
}

// groupLimits names the files that may limit this process's memory: those of its own
// control group and of every group above, version 2 and 1 (cgroups(7)).
func groupLimits(self string) []string {
	text, err := os.ReadFile(self)
	if err != nil {
		return nil
	}
	var files []string
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		root, name := "/sys/fs/cgroup", "memory.max"
		if parts[0] != "0" {
			if !slices.Contains(strings.Split(parts[1], ","), "memory") {
				continue
			}
			root, name = "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
		}
		for dir := path.Clean("/" + parts[2]); ; dir = path.Dir(dir) {
			files = append(files, path.Join(root, dir, name))
			if dir == "/" {
				break
			}
		}
	}
	return files
}

// dialable turns a listener's address into one that can be dialled from this host.
func dialable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

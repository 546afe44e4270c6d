package experiment

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/roostpush/roost/bench/hostinfo"
)

// Memory is the memory of a whole machine, in bytes (/proc/meminfo, proc(5)).
type Memory struct {
	Total      int64           `json:"total"`
	Free       int64           `json:"free"`
	Anon       int64           `json:"anon"`       // of all processes
	Cached     int64           `json:"cached"`     // files, shared memory and block devices' buffers
	Slab       int64           `json:"slab"`       // the kernel's objects: sockets, files, epoll entries
	PageTables int64           `json:"pagetables"` // of all processes
	Vmalloc    int64           `json:"vmalloc"`    // descriptor tables, among others
	Sockets    hostinfo.Kernel `json:"sockets"`    // the slab caches that a connection fills
}

// KernelBytes is all memory that is neither free nor a process's nor a file's: slabs,
// page tables, descriptor tables, socket buffers, and whatever nothing accounts for.
// Nothing that a connection costs the kernel can hide from it.
func (m Memory) KernelBytes() int64 { return m.Total - m.Free - m.Anon - m.Cached }

func readMemory() (m Memory, err error) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return m, fmt.Errorf("experiment: memory of this machine: %w", err)
	}
	kb := parseKB(string(text))
	m = Memory{
		Total: kb["MemTotal"], Free: kb["MemFree"], Anon: kb["AnonPages"],
		Cached: kb["Cached"] + kb["Buffers"] + kb["SwapCached"],
		Slab:   kb["Slab"], PageTables: kb["PageTables"], Vmalloc: kb["VmallocUsed"],
	}
	m.Sockets, err = hostinfo.ReadKernel()
	return m, err
}

// Resident is the memory of one process, in bytes. hostinfo.ReadProcess also counts
// descriptors, which takes seconds where there are a million and the kernel is older
// than 6.2.
type Resident struct {
	RSSBytes       int64 `json:"rss_bytes"`
	AnonBytes      int64 `json:"anon_bytes"`
	FileBytes      int64 `json:"file_bytes"` // the program itself
	PeakBytes      int64 `json:"peak_bytes"` // most it ever had
	PageTableBytes int64 `json:"page_table_bytes"`
	HugeBytes      int64 `json:"huge_bytes"` // of AnonBytes, in transparent huge pages
}

func readResident(pid int) (Resident, error) {
	dir := fmt.Sprintf("/proc/%d/", pid)
	status, err := os.ReadFile(dir + "status")
	if err != nil {
		return Resident{}, fmt.Errorf("experiment: the node's process cannot be read; has it ended? %w", err)
	}
	kb := parseKB(string(status))
	r := Resident{
		RSSBytes: kb["VmRSS"], AnonBytes: kb["RssAnon"], FileBytes: kb["RssFile"],
		PeakBytes: kb["VmHWM"], PageTableBytes: kb["VmPTE"],
	}
	if r.RSSBytes == 0 { // a process that was killed and is not buried yet
		return r, fmt.Errorf("experiment: the node's process %d has no memory any more: it was killed", pid)
	}
	if rollup, err := os.ReadFile(dir + "smaps_rollup"); err == nil {
		r.HugeBytes = parseKB(string(rollup))["AnonHugePages"]
	}
	return r, nil
}

// parseKB reads lines "name:   12 kB" and returns bytes.
func parseKB(text string) map[string]int64 {
	values := map[string]int64{}
	for line := range strings.Lines(text) {
		name, rest, _ := strings.Cut(line, ":")
		number, isKB := strings.CutSuffix(strings.TrimSpace(rest), " kB")
		if n, err := strconv.ParseInt(number, 10, 64); isKB && err == nil {
			values[name] = n << 10
		}
	}
	return values
}

// Network is what this machine's own network has lost since it booted: a device whose
// ping was lost again and again answers too late, and that is not the node's fault.
type Network struct {
	Dropped     int64 `json:"dropped"`     // packets for which net.core.netdev_max_backlog had no room
	Retransmits int64 `json:"retransmits"` // TCP segments sent again, both ends
}

func readNetwork() (n Network, err error) {
	softnet, err := os.ReadFile("/proc/net/softnet_stat")
	if err != nil {
		return n, fmt.Errorf("experiment: %w", err)
	}
	snmp, err := os.ReadFile("/proc/net/snmp")
	if err != nil {
		return n, fmt.Errorf("experiment: %w", err)
	}
	return parseNetwork(string(softnet), string(snmp)), nil
}

// parseNetwork reads the second column of softnet_stat, a line for each processor, and
// the column RetransSegs of snmp's two lines about TCP.
func parseNetwork(softnet, snmp string) (n Network) {
	for line := range strings.Lines(softnet) {
		if columns := strings.Fields(line); len(columns) > 1 {
			dropped, _ := strconv.ParseInt(columns[1], 16, 64)
			n.Dropped += dropped
		}
	}
	var names []string
	for line := range strings.Lines(snmp) {
		columns := strings.Fields(line)
		if len(columns) == 0 || columns[0] != "Tcp:" {
			continue
		}
		if i := slices.Index(names, "RetransSegs"); i >= 0 && i < len(columns) {
			n.Retransmits, _ = strconv.ParseInt(columns[i], 10, 64)
		}
		names = columns
	}
	return n
}

// Machine says what the figures were measured on.
type Machine struct {
	Kernel    string `json:"kernel"`
	Processor string `json:"processor"`
	HugePages string `json:"huge_pages"` // /sys/kernel/mm/transparent_hugepage/enabled
}

// readMachine reads what it can; the rest stays empty.
func readMachine() (m Machine) {
	read := func(path string) string {
		text, _ := os.ReadFile(path)
		return strings.TrimSpace(string(text))
	}
	m.Kernel = read("/proc/sys/kernel/osrelease")
	m.HugePages = read("/sys/kernel/mm/transparent_hugepage/enabled")
	for line := range strings.Lines(read("/proc/cpuinfo")) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			m.Processor = strings.TrimSpace(value)
			break
		}
	}
	return m
}

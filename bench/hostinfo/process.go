package hostinfo

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// What stands in the place of a core's number.
const (
	Unpinned  = -1 // the scheduler chooses among those that this process may use
	EveryCore = -2 // it chooses among all that there are, though this process was pinned
)

// userHZ is the unit of the times in /proc/PID/stat. The kernel's ABI fixes it at
// 100 on every architecture that Go supports (proc(5), sysconf(_SC_CLK_TCK)).
const userHZ = 100

// Process is one reading of another process, or of this one.
type Process struct {
	CPU         time.Duration `json:"cpu_ns"` // user + system since it started, all threads
	RSSBytes    int64         `json:"rss_bytes"`
	AnonBytes   int64         `json:"anon_bytes"` // RSS without files and shared memory
	Descriptors int64         `json:"descriptors"`
}

// Add adds another process's figures.
func (p *Process) Add(other Process) {
	p.CPU += other.CPU
	p.RSSBytes += other.RSSBytes
	p.AnonBytes += other.AnonBytes
	p.Descriptors += other.Descriptors
}

// ReadProcess reads /proc/PID. An error means that the process is gone, or not ours
// to read.
func ReadProcess(pid int) (Process, error) {
	dir := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return Process{}, fmt.Errorf("hostinfo: process %d: %w", pid, err)
	}
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return Process{}, fmt.Errorf("hostinfo: process %d: %w", pid, err)
	}
	p := Process{
		RSSBytes:  readKB(status, "VmRSS"),
		AnonBytes: readKB(status, "RssAnon"),
	}
	if p.CPU, err = parseCPU(stat); err != nil {
		return Process{}, fmt.Errorf("hostinfo: process %d: %w", pid, err)
	}
	if exact, ok := ProcessCPU(pid); ok {
		p.CPU = exact
	}
	p.Descriptors = countDescriptors(dir + "/fd")
	return p, nil
}

// parseCPU adds utime and stime, fields 14 and 15; the name in field 2 may contain
// spaces and parentheses, so counting starts after its last one.
func parseCPU(stat []byte) (time.Duration, error) {
	_, rest, ok := strings.Cut(string(stat[bytes.LastIndexByte(stat, ')')+1:]), " ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 13 {
		return 0, fmt.Errorf("stat %q is too short", stat)
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	if err1 != nil || err2 != nil {
		return 0, fmt.Errorf("stat %q has no times", stat)
	}
	return time.Duration(user+system) * (time.Second / userHZ), nil
}

// readKB returns the value in bytes of a line "name:  123 kB", 0 when there is none.
func readKB(text []byte, name string) int64 {
	for line := range strings.Lines(string(text)) {
		key, value, ok := strings.Cut(line, ":")
		if ok && key == name {
			n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return n << 10
		}
	}
	return 0
}

// countDescriptors asks for the directory's size, which is their number since
// Linux 6.2, and lists it on older kernels; listing costs 1.5 µs each.
func countDescriptors(dir string) int64 {
	if info, err := os.Stat(dir); err == nil && info.Size() > 0 {
		return info.Size()
	}
	f, err := os.Open(dir)
	if err != nil {
		return 0 // not ours to read; the other figures still are
	}
	defer f.Close()
	names, _ := f.Readdirnames(-1)
	return int64(len(names))
}

package compare

import (
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/roostpush/roost/bench/hostinfo"
)

// userHZ is the unit of /proc/stat, fixed by the kernel (proc(5)).
const userHZ = 100

// reading is what a process and its core had used at one moment.
type reading struct {
	at     time.Time
	core   time.Duration // user, nice, system and steal of the core
	coreOK bool
	own    time.Duration // of the process
	ownOK  bool
}

// read reads both, as far as they are known. Interrupts are left out of the core's
// time: they are counted apart and belong to whoever is loaded.
func read(cpu, pid int) (r reading) {
	r.at = time.Now()
	if r.own, r.ownOK = hostinfo.ProcessCPU(pid); cpu == Unpinned {
		return r
	}
	if text, err := os.ReadFile("/proc/stat"); err == nil {
		r.core, r.coreOK = parseCore(string(text), cpu)
	}
	return r
}

// parseCore adds fields 1, 2, 3 and 8 of the line "cpuN user nice system idle iowait
// irq softirq steal".
func parseCore(stat string, cpu int) (time.Duration, bool) {
	name := "cpu" + strconv.Itoa(cpu)
	for line := range strings.Lines(stat) {
		fields := strings.Fields(line)
		if len(fields) < 9 || fields[0] != name {
			continue
		}
		var ticks int64
		for _, i := range []int{1, 2, 3, 8} {
			n, err := strconv.ParseInt(fields[i], 10, 64)
			if err != nil {
				return 0, false
			}
			ticks += n
		}
		return time.Duration(ticks) * (time.Second / userHZ), true
	}
	return 0, false
}

// span is what was used between two readings.
type span struct{ from, to reading }

// cpu returns the process's time.
func (s span) cpu() (time.Duration, bool) {
	return s.to.own - s.from.own, s.from.ownOK && s.to.ownOK
}

// others returns the share of the core that was used by others than the process: the
// noise of this machine.
func (s span) others() (share float64, ok bool) {
	own, ok := s.cpu()
	wall := s.to.at.Sub(s.from.at)
	if !ok || !s.from.coreOK || !s.to.coreOK || wall <= 0 {
		return 0, false
	}
	// The kernel counts a core in ticks and a process in nanoseconds.
	return min(1, max(0, float64(s.to.core-s.from.core-own)/float64(wall))), true
}

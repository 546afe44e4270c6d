package report

import (
	"fmt"
	"time"
)

// Duration writes a time with three digits that mean something: 834 ns, 12.3 µs,
// 4.56 ms, 1.20 s.
func Duration(d time.Duration) string {
	for _, unit := range []struct {
		size time.Duration
		name string
	}{{time.Second, "s"}, {time.Millisecond, "ms"}, {time.Microsecond, "µs"}} {
		if d < unit.size && d > -unit.size {
			continue
		}
		v := float64(d) / float64(unit.size)
		switch {
		case v >= 100 || v <= -100:
			return fmt.Sprintf("%.0f %s", v, unit.name)
		case v >= 10 || v <= -10:
			return fmt.Sprintf("%.1f %s", v, unit.name)
		}
		return fmt.Sprintf("%.2f %s", v, unit.name)
	}
	return fmt.Sprintf("%d ns", int64(d))
}

// Size writes bytes in powers of 1024.
func Size(bytes float64) string {
	sign := ""
	if bytes < 0 {
		sign, bytes = "-", -bytes
	}
	for _, unit := range []struct {
		size float64
		name string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {10 << 10, "KiB"}} {
		if bytes >= unit.size {
			size := unit.size
			if unit.name == "KiB" {
				size = 1 << 10
			}
			return fmt.Sprintf("%s%.1f %s", sign, bytes/size, unit.name)
		}
	}
	return fmt.Sprintf("%s%.0f B", sign, bytes)
}

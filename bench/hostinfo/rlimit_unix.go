//go:build unix

package hostinfo

import "golang.org/x/sys/unix"

// RaiseDescriptors raises this process's soft limit of open descriptors to its hard
// limit and returns what holds now, 0 when it cannot be told. Go itself raises it at
// start but gives the old value to children; a generator wants all of it.
func RaiseDescriptors() int64 {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	if limit.Cur < limit.Max {
		raised := unix.Rlimit{Cur: limit.Max, Max: limit.Max}
		if unix.Setrlimit(unix.RLIMIT_NOFILE, &raised) == nil {
			limit = raised
		}
	}
	return int64(limit.Cur) //nolint:unconvert // signed on FreeBSD
}

//go:build !linux

package route

import "time"

// threadTime is not known here.
func threadTime() time.Duration { return 0 }

// residentBytes is not known here.
func residentBytes() int { return 0 }

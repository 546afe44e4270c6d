//go:build !linux

package hostinfo

import (
	"errors"
	"os/exec"
	"time"
)

var errPinning = errors.New("hostinfo: pinning to a core needs Linux; this system is another")

// StartPinned needs Linux.
func StartPinned(*exec.Cmd, int) error { return errPinning }

// PinSelf needs Linux.
func PinSelf(int) (undo func(), err error) { return nil, errPinning }

// ProcessCPU needs Linux.
func ProcessCPU(int) (time.Duration, bool) { return 0, false }

// LetOthersGoFirst needs Linux, and does nothing elsewhere.
func LetOthersGoFirst() (undo func()) { return func() {} }

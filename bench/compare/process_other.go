//go:build !linux

package compare

import (
	"os/exec"
	"time"

	"github.com/roostpush/roost/bench/generator"
)

func startPinned(*exec.Cmd, int) error { return generator.ErrLinuxOnly }

func pinSelf(int) (undo func(), err error) { return nil, generator.ErrLinuxOnly }

func processCPU(int) (time.Duration, bool) { return 0, false }

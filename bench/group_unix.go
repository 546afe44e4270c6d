//go:build unix

package bench

import (
	"os/exec"
	"syscall"
)

// ownGroup keeps a terminal's signals away from a child.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

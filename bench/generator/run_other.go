//go:build !linux

package generator

import (
	"context"
	"io"
)

func monotonicNS() int64 { return 0 }

// Run says that this system cannot generate load.
func Run(context.Context, io.Reader, io.Writer, func(index, atNS int64)) error { return ErrLinuxOnly }

// Supported reports whether this system can generate load.
const Supported = false

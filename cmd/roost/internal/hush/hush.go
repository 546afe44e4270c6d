package hush

import (
	"io"
	"log"
	"os"
)

func init() { log.SetOutput(io.Discard) }

// End gives the standard logger its output back. main calls it first.
func End() { log.SetOutput(os.Stderr) }

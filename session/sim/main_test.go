package sim

import (
	"runtime/debug"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	debug.SetGCPercent(400) // a world is small, and what it allocates is soon garbage
	goleak.VerifyTestMain(m)
}

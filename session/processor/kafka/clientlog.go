package kafka

import (
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/roostpush/roost/session/processor"
)

// clientLog lets the client speak through complaints: its warnings as warnings, the rest
// for those who look for it.
type clientLog struct{ *processor.Complaints }

// Level says what the client should mention at all.
func (c clientLog) Level() kgo.LogLevel { return kgo.LogLevelInfo }

// Log logs what the client says.
func (c clientLog) Log(level kgo.LogLevel, message string, args ...any) {
	if level > kgo.LogLevelWarn {
		c.Debug("kafka: "+message, args...)
		return
	}
	c.Complain("client "+message, "kafka: "+message, args...)
}

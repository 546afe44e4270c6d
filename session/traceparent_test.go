package session

import (
	"strings"
	"testing"
)

func TestValidTraceparent(t *testing.T) {
	const good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for _, s := range []string{good, "01" + good[2:], "01" + good[2:] + "-more"} {
		if !ValidTraceparent(s) {
			t.Errorf("%q is refused", s)
		}
	}
	for name, s := range map[string]string{
		"empty":           "",
		"short":           good[:54],
		"more":            good + "-more",
		"run together":    "01" + good[2:] + "more",
		"too long":        "01" + good[2:] + "-" + strings.Repeat("x", 256),
		"version ff":      "ff" + good[2:],
		"capitals":        strings.ToUpper(good),
		"no digit":        good[:10] + "g" + good[11:],
		"no dash":         good[:35] + "0" + good[36:],
		"no trace":        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
		"no parent":       "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
		"version unhexed": "0x" + good[2:],
	} {
		if ValidTraceparent(s) {
			t.Errorf("%s: %q is taken", name, s)
		}
	}
}

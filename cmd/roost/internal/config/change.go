package config

import (
	"log/slog"
	"strings"
)

// Change is a setting whose value is not the default, as text fit to be shown.
type Change struct{ Key, Value, Default string }

// Changes returns every setting that is not at its default, in the file's
// order. Secrets are redacted.
func (c Config) Changes() []Change {
	defaults := Default()
	was := tree(&defaults).settings()
	var changes []Change
	for i, s := range tree(&c).settings() {
		if !s.equal(was[i]) {
			changes = append(changes, Change{Key: s.key, Value: s.show(), Default: was[i].show()})
		}
	}
	return changes
}

func (e *entry) equal(other *entry) bool {
	if e.value.Comparable() {
		return e.value.Equal(other.value)
	}
	if e.value.Len() != other.value.Len() {
		return false
	}
	for i := range e.value.Len() {
		if e.value.Index(i).String() != other.value.Index(i).String() {
			return false
		}
	}
	return true
}

// LogValue makes a logged Config the list of its changes: a node's first line
// says how it differs from every other node, and never a secret.
func (c Config) LogValue() slog.Value {
	var attrs []slog.Attr
	for _, change := range c.Changes() {
		attrs = append(attrs, slog.String(change.Key, change.Value))
	}
	return slog.GroupValue(attrs...)
}

// String returns the changes on one line. It exists so that no print of a
// Config, in whatever way, shows a secret.
func (c Config) String() string {
	var parts []string
	for _, change := range c.Changes() {
		parts = append(parts, change.Key+"="+change.Value)
	}
	return strings.Join(parts, " ")
}

// GoString returns String, for the same reason: %#v prints no secret either.
func (c Config) GoString() string { return c.String() }

package config

import (
	"sort"
	"strings"
)

// Problem is one thing wrong with the configuration, for the person who wrote it.
type Problem struct {
	Where   string // file:line:column, environment variable or flag; empty: a default
	Key     string // the setting's key path, netpoll.ping_interval; empty: the file as a whole
	Message string // what was found, what would be right, and an example
}

// String returns the problem on one line, the place first as compilers do.
func (p Problem) String() string {
	var parts []string
	for _, part := range []string{p.Where, p.Key, p.Message} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ": ")
}

// Problems is every problem found, so that one run is enough to mend a file. It
// is the error that Load and Validate return.
type Problems []Problem

// Error returns the problems, a line each.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// err returns nil when there is no problem: a nil Problems in an error
// interface would not be nil.
func (ps Problems) err() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}

// byKey sorts problems by key path, keeping the order of those of one key.
func (ps Problems) byKey() Problems {
	sort.SliceStable(ps, func(i, j int) bool { return ps[i].Key < ps[j].Key })
	return ps
}

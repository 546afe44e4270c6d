package config

import (
	"reflect"
	"strings"
)

// validator is what every package's Config is.
type validator interface{ Validate() error }

// validate asks every section below root whether its values are fit, then the
// relations between sections, and returns all problems sorted by key.
func validate(root *entry, relations func() Problems) Problems {
	var problems Problems
	for _, e := range root.all() {
		if !e.isSection() {
			continue
		}
		if v, ok := reflect.TypeAssert[validator](e.value); ok {
			problems = append(problems, e.problemsOf(v.Validate())...)
		}
	}
	if relations != nil {
		problems = append(problems, relations()...)
	}
	return problems.byKey()
}

// problemsOf splits a section's error, which errors.Join may have made of many,
// and gives each line its key path. A package does not know under which key it
// is configured, so it names the setting by its own yaml name or its Go name:
// "netpoll: ping_interval 0s: ..." or "PingInterval must ...".
func (e *entry) problemsOf(err error) Problems {
	if err == nil {
		return nil
	}
	var problems Problems
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if line = strings.TrimSpace(line); line != "" {
			problems = append(problems, e.problemOf(line))
		}
	}
	return problems
}

func (e *entry) problemOf(line string) Problem {
	for _, prefix := range []string{e.name, "config", e.name} {
		for _, separator := range []string{": ", "."} {
			line = strings.TrimPrefix(line, prefix+separator)
		}
	}
	end := strings.IndexAny(line, " :=,")
	if end < 0 {
		end = len(line)
	}
	for _, c := range e.all() {
		if word := line[:end]; word == c.key || word == strings.TrimPrefix(c.key, e.key+".") || word == c.goName {
			return Problem{Key: c.key, Message: strings.TrimLeft(line[end:], " :=")}
		}
	}
	return Problem{Key: e.key, Message: line}
}

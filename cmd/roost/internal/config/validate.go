package config

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// validator is what every package's Config is.
type validator interface{ Validate() error }

// validate asks every section below root whether its values are fit, then the
// relations between sections, and returns all problems sorted by key. It
// changes the values below root, which must be a copy: see ask.
func validate(root, defaults *entry, relations func() Problems) Problems {
	var problems Problems
	if relations != nil {
		problems = relations()
	}
	for _, e := range root.all() {
		if e.isSection() {
			problems = append(problems, e.ask(defaults)...)
		}
	}
	return problems.byKey()
}

// ask returns what the section's Validate finds. Some packages stop at their
// first problem, so the settings it names are put back to their defaults and it
// is asked again, until it names nothing new. A later answer about a setting
// that was put back is about our value, not the operator's, and is left out.
func (e *entry) ask(defaults *entry) Problems {
	v := e.validator()
	if v == nil {
		return nil
	}
	var problems Problems
	mended := map[string]*entry{}
	for first := true; ; first = false {
		fresh := map[string]*entry{}
		for _, line := range lines(v.Validate()) {
			problem, setting := e.problemOf(line)
			if setting == nil && first || setting != nil && !mentions(line, mended) {
				problems = append(problems, problem)
			}
			if setting != nil && mended[setting.key] == nil {
				fresh[setting.key] = setting
			}
		}
		if len(fresh) == 0 {
			return problems
		}
		for _, d := range defaults.find(e.key).owned() {
			if setting := fresh[d.key]; setting != nil {
				setting.value.Set(d.value)
			}
		}
		maps.Copy(mended, fresh)
	}
}

func (e *entry) validator() validator {
	if !e.value.CanAddr() {
		return nil
	}
	v, _ := reflect.TypeAssert[validator](e.value.Addr())
	return v
}

// owned returns the settings that the section's Validate knows, including those
// that operators set under another key.
func (e *entry) owned() []*entry { return append(e.settings(), e.hidden...) }

// mentions reports whether the line has the name of one of the settings as a
// word of its own.
func mentions(line string, settings map[string]*entry) bool {
	words := strings.FieldsFunc(line, func(r rune) bool {
		return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	for _, s := range settings {
		if slices.Contains(words, s.name) || slices.Contains(words, s.goName) {
			return true
		}
	}
	return false
}

// lines splits a section's error, which errors.Join may have made of many.
func lines(err error) []string {
	if err == nil {
		return nil
	}
	return strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' })
}

// problemOf gives a line its key path. A package does not know under which key
// it is configured, so it names the setting by its own yaml name or its Go name:
// "netpoll: ping_interval is 0s" or "PingInterval must be ...". setting is nil
// when the line names none.
func (e *entry) problemOf(line string) (p Problem, setting *entry) {
	line = strings.TrimSpace(line)
	for _, separator := range []string{": ", "."} {
		line = strings.TrimPrefix(line, e.name+separator)
	}
	end := strings.IndexAny(line, " :=,")
	if end < 0 {
		end = len(line)
	}
	word := line[:end]
	for _, s := range e.owned() {
		if word == s.key || word == strings.TrimPrefix(s.key, e.key+".") || word == s.goName {
			key := s.key
			if moved[key] != "" {
				key = moved[key]
			}
			return Problem{Key: key, Message: strings.TrimLeft(line[end:], " :=")}, s
		}
	}
	return Problem{Key: e.key, Message: line}, nil
}

package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Redacted stands in for a secret wherever settings are shown.
const Redacted = "REDACTED"

// commentColumns is the width that comments of the default file are wrapped to:
// they stay readable in an editor of 80 columns, indented.
const commentColumns = 76

// Write prints the settings as a YAML file with a comment above each: what it
// is, why its default is what it is, its type, and its name in the environment.
// Secrets are redacted, so only a Config without secrets, such as Default(),
// loads again to the same values.
func (c Config) Write(w io.Writer) error {
	var b bytes.Buffer
	b.WriteString("# Configuration of a roost node. Every setting is here with its default.\n" +
		"# The environment is stronger than this file, flags are stronger than both.\n" +
		"# Durations: 500ms, 30s, 1m30s, 24h. Sizes: 64KiB, 1MiB, or bytes.\n")
	defaults := Default()
	writeEntries(&b, tree(&c), tree(&defaults), "")
	_, err := w.Write(b.Bytes())
	return err
}

func writeEntries(b *bytes.Buffer, e, defaults *entry, indent string) {
	for i, c := range e.children {
		d := defaults.children[i]
		b.WriteByte('\n')
		comment(b, indent, c.doc)
		if c.isSection() {
			fmt.Fprintf(b, "%s%s:\n", indent, c.name)
			writeEntries(b, c, d, indent+"  ")
			continue
		}
		comment(b, indent, fmt.Sprintf("(%s; default %s; %s)", c.typeName(), d.show(), c.env()))
		fmt.Fprintf(b, "%s%s: %s\n", indent, c.name, c.show())
	}
}

// comment wraps text into comment lines. An unbreakable word may stand out.
func comment(b *bytes.Buffer, indent, text string) {
	line := indent + "#"
	for _, word := range strings.Fields(text) {
		if len(line)+1+len(word) > commentColumns && line != indent+"#" {
			b.WriteString(line + "\n")
			line = indent + "#"
		}
		line += " " + word
	}
	if line != indent+"#" {
		b.WriteString(line + "\n")
	}
}

// typeName names the setting's type and unit for people.
func (e *entry) typeName() string {
	switch v := e.value; {
	case v.Type() == durationType:
		return "duration"
	case e.isBytes():
		return "bytes"
	case v.Kind() == reflect.Bool:
		return "true or false"
	case v.Kind() == reflect.Float64:
		return "number"
	case v.Kind() == reflect.Slice:
		return "list"
	case v.Kind() == reflect.String:
		return "text"
	}
	return "whole number"
}

// show returns the setting's value as YAML, in the form a person would write. A
// secret that is set is redacted.
func (e *entry) show() string {
	v := e.value
	switch {
	case v.Type() == durationType:
		return formatDuration(time.Duration(v.Int()))
	case v.Kind() == reflect.String:
		return formatText(e.hide(v.String()))
	case v.Kind() == reflect.Slice:
		items := make([]string, v.Len())
		for i := range items {
			items[i] = formatText(e.hide(v.Index(i).String()))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case v.Kind() == reflect.Bool:
		return strconv.FormatBool(v.Bool())
	case v.Kind() == reflect.Float64:
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	case e.isBytes():
		return formatBytes(v)
	case v.CanUint():
		return strconv.FormatUint(v.Uint(), 10)
	}
	return strconv.FormatInt(v.Int(), 10)
}

func (e *entry) hide(text string) string {
	if e.secret && text != "" {
		return Redacted
	}
	return text
}

// formatDuration leaves out the zero parts that time.Duration prints: 1m0s.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// formatBytes uses the largest unit that says the size exactly.
func formatBytes(v reflect.Value) string {
	if v.CanInt() && v.Int() < 0 {
		return strconv.FormatInt(v.Int(), 10)
	}
	var n uint64
	if v.CanUint() {
		n = v.Uint()
	} else {
		n = uint64(v.Int())
	}
	for _, u := range byteUnits {
		if u.size > 1 && n >= u.size && n%u.size == 0 {
			return strconv.FormatUint(n/u.size, 10) + u.name
		}
	}
	return strconv.FormatUint(n, 10)
}

// plainText is what needs no quotes in YAML, wherever it stands, unless it is
// one of YAML's own words for true, false and null, in any version (yamlWord).
var plainText = regexp.MustCompile(`^[./a-zA-Z][A-Za-z0-9_./-]*$`)

var yamlWord = regexp.MustCompile(`^(?i:y|n|yes|no|true|false|on|off|null|\.inf|\.nan|\.)$`)

// formatText quotes a text unless no reader could take it for anything else.
// JSON's strings are YAML's double-quoted ones (YAML 1.2.2, section 1.3).
func formatText(s string) string {
	if plainText.MatchString(s) && !yamlWord.MatchString(s) {
		return s
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic(err) // a string always encodes
	}
	return strings.TrimSuffix(b.String(), "\n")
}

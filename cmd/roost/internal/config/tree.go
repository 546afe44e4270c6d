package config

import (
	"fmt"
	"reflect"
	"strings"
	"time"
)

// EnvPrefix begins the name of every environment variable that is a setting.
const EnvPrefix = "ROOST_"

// entry is a setting, or a section that holds settings: one field of the struct.
type entry struct {
	name     string        // its yaml tag, ping_interval
	key      string        // its path, netpoll.ping_interval
	goName   string        // the field's name in Go, which Validate's errors may use
	doc      string        // its doc tag
	secret   bool          // never shown
	value    reflect.Value // the field itself, settable
	children []*entry      // in the struct's order; nil: a setting
	hidden   []*entry      // settings of this section that live under another key: moved
}

var durationType = reflect.TypeFor[time.Duration]()

// tree returns the root entry of the struct that target points at. A struct
// that breaks the rules for configuration structs panics: that is a mistake in
// the program, not in a file, and TestDefaultIsDocumented finds it.
func tree(target any) *entry {
	v := reflect.ValueOf(target)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		panic(fmt.Sprintf("config: %T is not a pointer to a struct", target))
	}
	root := &entry{value: v.Elem()}
	root.grow()
	return root
}

func (e *entry) grow() {
	for i := range e.value.NumField() {
		f := e.value.Type().Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if !f.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			panic(fmt.Sprintf("config: field %s.%s has no yaml tag", e.value.Type(), f.Name))
		}
		child := &entry{name: name, key: name, goName: f.Name, doc: f.Tag.Get("doc"), value: e.value.Field(i)}
		if e.key != "" {
			child.key = e.key + "." + name
		}
		child.secret = isSecret(f.Tag.Get("secret"), name)
		switch {
		case moved[child.key] != "":
			e.hidden = append(e.hidden, child)
			continue
		case f.Type.Kind() == reflect.Struct:
			child.children = []*entry{}
			child.grow()
		case !supported(f.Type):
			panic(fmt.Sprintf("config: field %s.%s has type %s, which no setting can have", e.value.Type(), f.Name, f.Type))
		}
		e.children = append(e.children, child)
	}
}

func supported(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Bool, reflect.String, reflect.Float64,
		reflect.Int, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return true
	case reflect.Slice:
		return t.Elem().Kind() == reflect.String
	}
	return false
}

// isSecret decides by the field's secret tag, or else by the last word of its
// name, so that a field added by somebody who does not know the tag is hidden
// rather than shown. A file's name is no secret: secret_file ends in file.
func isSecret(tag, name string) bool {
	if tag != "" {
		return tag == "true"
	}
	last := name[strings.LastIndexByte(name, '_')+1:]
	switch strings.TrimSuffix(last, "s") {
	case "secret", "token", "password", "key", "credential":
		return true
	}
	return false
}

func (e *entry) isSection() bool { return e.children != nil }

// isBytes says that the setting is a size: its name has the word bytes.
func (e *entry) isBytes() bool {
	for word := range strings.SplitSeq(e.name, "_") {
		if word == "bytes" {
			return e.value.CanInt() || e.value.CanUint()
		}
	}
	return false
}

// env returns the setting's name in the environment.
func (e *entry) env() string {
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(e.key, ".", "_"))
}

// child returns the entry of that name, or nil.
func (e *entry) child(name string) *entry {
	for _, c := range e.children {
		if c.name == name {
			return c
		}
	}
	return nil
}

// settings returns every setting below e, in the struct's order.
func (e *entry) settings() []*entry {
	var all []*entry
	for _, c := range e.children {
		if c.isSection() {
			all = append(all, c.settings()...)
		} else {
			all = append(all, c)
		}
	}
	return all
}

// find returns the entry with the given key path, or nil.
func (e *entry) find(key string) *entry {
	at := e
	for name := range strings.SplitSeq(key, ".") {
		if at = at.child(name); at == nil {
			return nil
		}
	}
	return at
}

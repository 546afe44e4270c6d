package config

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// set parses text into the setting. The error says what was found, what would
// be right, and shows an example; the caller adds the place and the key.
func (e *entry) set(text string) error {
	v := e.value
	switch {
	case v.Type() == durationType:
		return e.setDuration(text)
	case e.isBytes():
		return e.setBytes(text)
	}
	switch v.Kind() {
	case reflect.Bool:
		if text != "true" && text != "false" {
			return e.wrong(describe(text))
		}
		v.SetBool(text == "true")
	case reflect.String:
		v.SetString(text)
	case reflect.Slice:
		e.setList(splitList(text))
	case reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return e.wrong(describe(text))
		}
		v.SetFloat(f)
	default:
		return e.setWhole(text)
	}
	return nil
}

func (e *entry) setDuration(text string) error {
	d, err := time.ParseDuration(text)
	if err == nil {
		e.value.SetInt(int64(d))
		return nil
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		return fmt.Errorf("found %s, a number without a unit; a duration is wanted: %ss, if seconds are meant", text, text)
	}
	return e.wrong(describe(text))
}

// byteUnits are the units a size may have. KB and MB mean 1000 to some and 1024
// to others, so they are refused with both readings.
var byteUnits = []struct {
	name string
	size uint64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

func (e *entry) setBytes(text string) error {
	digits := strings.TrimLeft(text, "0123456789")
	number, unit := text[:len(text)-len(digits)], strings.TrimSpace(digits)
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return e.wrong(describe(text))
	}
	scale := uint64(1)
	if unit != "" {
		if scale = byteUnit(unit); scale == 0 {
			if len(unit) <= 2 && strings.ContainsAny(unit[:1], "kKmMgGtT") {
				binary := strings.ToUpper(unit[:1]) + "iB"
				return fmt.Errorf("found %s, whose unit could mean 1000s or 1024s; a size is wanted: %s%s, or a plain number of bytes", text, number, binary)
			}
			return e.wrong(describe(text))
		}
	}
	if n > math.MaxUint64/scale {
		return e.tooBig(text)
	}
	return e.store(n*scale, false, text)
}

func byteUnit(name string) uint64 {
	for _, u := range byteUnits {
		if u.name == name {
			return u.size
		}
	}
	return 0
}

// setWhole parses a whole number. Bases other than ten are not taken: 010 is
// eight to some readers and ten to others.
func (e *entry) setWhole(text string) error {
	digits, negative := strings.CutPrefix(text, "-")
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || (len(digits) > 1 && digits[0] == '0') {
		if err != nil && err.(*strconv.NumError).Err == strconv.ErrRange {
			return e.tooBig(text)
		}
		return e.wrong(describe(text))
	}
	if negative && e.value.CanUint() {
		return fmt.Errorf("found %s; a number of 0 or more is wanted", text)
	}
	return e.store(n, negative, text)
}

func (e *entry) store(n uint64, negative bool, text string) error {
	v := e.value
	if v.CanUint() {
		if v.OverflowUint(n) {
			return e.tooBig(text)
		}
		v.SetUint(n)
		return nil
	}
	if n > math.MaxInt64 || v.OverflowInt(int64(n)) {
		return e.tooBig(text)
	}
	if negative {
		v.SetInt(-int64(n))
	} else {
		v.SetInt(int64(n))
	}
	return nil
}

// setList replaces the list: a stronger source never adds to a weaker one's.
func (e *entry) setList(items []string) {
	if len(items) == 0 {
		e.value.SetZero() // as Default leaves an empty list, so that the two compare equal
		return
	}
	list := reflect.MakeSlice(e.value.Type(), len(items), len(items))
	for i, item := range items {
		list.Index(i).SetString(item)
	}
	e.value.Set(list)
}

// splitList reads the form that the environment and --set use: items joined by
// commas, spaces around them ignored. An item with a comma needs the file.
func splitList(text string) []string {
	if strings.TrimSpace(text) == "" {
		return nil
	}
	items := strings.Split(text, ",")
	for i := range items {
		items[i] = strings.TrimSpace(items[i])
	}
	return items
}

func (e *entry) tooBig(text string) error {
	return fmt.Errorf("found %s, which is too big for this setting (%s)", text, e.value.Kind())
}

func (e *entry) wrong(found string) error {
	return fmt.Errorf("found %s; %s", found, e.wanted())
}

// wanted says what would be right, with an example.
func (e *entry) wanted() string {
	switch v := e.value; {
	case e.isSection():
		names := make([]string, 0, 3)
		for _, c := range e.children[:min(3, len(e.children))] {
			names = append(names, c.name)
		}
		return fmt.Sprintf("a section is wanted, with its settings indented below it: %s ...", strings.Join(names, ", "))
	case v.Type() == durationType:
		return "a duration is wanted: 30s, 1m30s or 500ms"
	case e.isBytes():
		return "a size is wanted: 64KiB, 1MiB, or a plain number of bytes"
	case v.Kind() == reflect.Bool:
		return "true or false is wanted"
	case v.Kind() == reflect.Float64:
		return "a number is wanted: 0.5"
	case v.Kind() == reflect.Slice:
		return "a list is wanted: [first, second]"
	case v.Kind() == reflect.String:
		return `a text is wanted: "example"`
	}
	return "a whole number is wanted: 100"
}

// describe says what kind of thing a scalar is, so that a wrong type is seen.
func describe(text string) string {
	if text == "" {
		return "nothing"
	}
	if text == "true" || text == "false" {
		return text + ", a truth value"
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		return text + ", a number"
	}
	if _, err := time.ParseDuration(text); err == nil {
		return text + ", a duration"
	}
	if len(text) > 60 {
		text = text[:60] + "..."
	}
	return strconv.Quote(text)
}

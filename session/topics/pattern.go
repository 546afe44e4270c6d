// HOT PATH

package topics

import "strings"

// wildcard is the end of a pattern.
const wildcard = ".*"

// keyOf returns what a topic or pattern is found by: a topic by itself, a pattern by what
// the topics below it begin with. That ends in a dot, as no topic does, so that both can
// be keys of one map.
func keyOf(pattern string) string {
	if strings.HasSuffix(pattern, wildcard) {
		return pattern[:len(pattern)-1]
	}
	return pattern
}

// Covers reports whether every topic that other stands for is one that pattern stands
// for. Both are well-formed topics or patterns (PROTOCOL.md section 0).
func Covers(pattern, other string) bool {
	if key := keyOf(pattern); key[len(key)-1] == '.' {
		return strings.HasPrefix(other, key)
	}
	return pattern == other
}

// coversAny is Covers by any of a list.
func coversAny(patterns []string, other string) bool {
	for _, p := range patterns {
		if Covers(p, other) {
			return true
		}
	}
	return false
}

// keysMax is how many keys a topic can be found by: itself, and one for each dot of the
// longest one.
const keysMax = 129

// eachKey yields the keys of everything that stands for a topic, the narrowest first,
// until it says false. It allocates nothing.
func eachKey(topic string, yield func(key string) bool) {
	if !yield(topic) {
		return
	}
	for i := len(topic) - 1; i > 0; i-- {
		if topic[i] == '.' && !yield(topic[:i+1]) {
			return
		}
	}
}

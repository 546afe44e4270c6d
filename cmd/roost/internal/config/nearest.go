package config

import (
	"strings"

	"github.com/agnivade/levenshtein"
)

// nearest returns the candidate with the smallest edit distance to name; the
// first of equals, so that an error is the same each time. It returns "" only
// when there are no candidates.
func nearest(name string, candidates []string) string {
	best, bestDistance := "", int(^uint(0)>>1)
	for _, c := range candidates {
		if d := levenshtein.ComputeDistance(name, c); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// nearestKey returns the key path that somebody who wrote the unknown key most
// likely meant. A name that exists in another section was put in the wrong
// place; it beats a misspelling of a neighbour.
func nearestKey(root *entry, key string) string {
	name := key[strings.LastIndexByte(key, '.')+1:]
	var keys, same []string
	for _, s := range root.all() {
		keys = append(keys, s.key)
		if s.name == name {
			same = append(same, s.key)
		}
	}
	if len(same) > 0 {
		return nearest(key, same)
	}
	return nearest(key, keys)
}

// all returns every section and setting below e.
func (e *entry) all() []*entry {
	var all []*entry
	for _, c := range e.children {
		all = append(append(all, c), c.all()...)
	}
	return all
}

func unknownKey(root *entry, key string) string {
	if other := moved[key]; other != "" && root.find(other) != nil {
		return "no such setting; it is called " + other
	}
	return "no such setting; the nearest is " + nearestKey(root, key)
}

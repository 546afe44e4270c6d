package config

import (
	"regexp"
	"strings"
)

// ReservedEnv are the variables with our prefix that are no settings of a node:
// the commands read them.
var ReservedEnv = []string{"ROOST_API", "ROOST_API_TOKEN", "ROOST_CONFIG", "ROOST_HINT", "ROOST_TOKEN"}

// kubernetesEnv are the variables that Kubernetes puts into every pod beside a
// Service called roost. Refusing them would forbid that name.
var kubernetesEnv = regexp.MustCompile(`^ROOST_(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// fromEnvironment applies the variables of environ, written NAME=value, whose
// name begins with EnvPrefix. One that is no setting is an error: a misspelt
// limit that is silently ignored is found in an outage.
func fromEnvironment(root *entry, environ []string, origins Origins) Problems {
	byName := map[string]*entry{}
	var names []string
	for _, s := range root.settings() {
		byName[s.env()] = s
		names = append(names, s.env())
	}
	var problems Problems
	for _, variable := range environ {
		name, text, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, EnvPrefix) {
			continue
		}
		s := byName[name]
		switch {
		case s != nil:
			if err := s.set(text); err != nil {
				problems = append(problems, Problem{Where: name, Key: s.key, Message: err.Error()})
				continue
			}
			origins[s.key] = name
		case isReserved(name) || kubernetesEnv.MatchString(name):
		default:
			problems = append(problems, Problem{Where: name, Message: "no such setting in the environment; the nearest is " + nearest(name, names)})
		}
	}
	return problems
}

func isReserved(name string) bool {
	for _, reserved := range ReservedEnv {
		if name == reserved {
			return true
		}
	}
	return false
}

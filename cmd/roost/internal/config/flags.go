package config

import "strings"

// Flag is one setting given on the command line, stronger than file and
// environment. Of two for one key the later wins.
type Flag struct {
	Name  string // as the user wrote it, --listen; it is named in errors
	Key   string // the setting, listen
	Value string
}

// SetFlag reads the argument of --set, key=value. What is wrong with it is found
// by Load, together with everything else.
func SetFlag(argument string) Flag {
	key, value, ok := strings.Cut(argument, "=")
	if !ok {
		return Flag{Name: "--set " + argument}
	}
	return Flag{Name: "--set", Key: strings.TrimSpace(key), Value: strings.TrimSpace(value)}
}

func fromFlags(root *entry, flags []Flag, origins Origins) Problems {
	var problems Problems
	for _, f := range flags {
		problem := Problem{Where: f.Name, Key: f.Key}
		e := root.find(f.Key)
		switch {
		case f.Key == "":
			problem.Message = "found no '='; a key and a value are wanted: --set netpoll.ping_interval=30s"
		case e == nil:
			problem.Message = unknownKey(root, f.Key)
		case e.isSection():
			problem.Message = "this is a section; a setting of it is wanted: " + e.settings()[0].key
		default:
			err := e.set(f.Value)
			if err == nil {
				origins[e.key] = f.Name
				continue
			}
			problem.Message = err.Error()
		}
		problems = append(problems, problem)
	}
	return problems
}

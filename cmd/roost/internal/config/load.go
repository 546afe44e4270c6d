package config

import "github.com/roostpush/roost/session/auth"

// Sources are the places that settings come from, in rising order of strength.
type Sources struct {
	File    string   // path of the YAML file; empty: none
	Environ []string // os.Environ(): NAME=value
	Flags   []Flag   // the command line's

	Deviceless bool // the node is to be a processor (Config.Deviceless)
}

// Origins says where each setting that is not a default came from: a place in a
// file, an environment variable or a flag, by key path.
type Origins map[string]string

// Load returns the defaults changed by every source, validated. The error is a
// Problems with everything that is wrong: first what cannot be read as a
// setting, and only when nothing is, what Validate says of the values, because
// relations between values are not judged while some of them are unknown.
func Load(s Sources) (Config, Origins, error) {
	c := Default()
	if c.Deviceless = s.Deviceless; c.Deviceless {
		c.Auth.Mode = auth.ModeNone // nobody can connect, so that no keys are wanted
	}
	origins, problems := apply(tree(&c), s)
	if len(problems) == 0 {
		c = c.following(origins).settled()
		judged, defaults := c, Default()
		problems = validate(tree(&judged), tree(&defaults), c.relations)
		for i, p := range problems {
			problems[i].Where = origins[p.Key]
		}
	}
	return c, origins, problems.err()
}

// apply changes the settings below root by every source.
func apply(root *entry, s Sources) (Origins, Problems) {
	origins := Origins{}
	var problems Problems
	if s.File != "" {
		problems = fromFile(root, s.File, origins)
	}
	problems = append(problems, fromEnvironment(root, s.Environ, origins)...)
	problems = append(problems, fromFlags(root, s.Flags, origins)...)
	return origins, problems
}

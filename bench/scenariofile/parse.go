package scenariofile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"go.yaml.in/yaml/v3"

	"github.com/roostpush/roost/bench"
	"github.com/roostpush/roost/bench/generator"
	"github.com/roostpush/roost/bench/target"
)

// bytesMax bounds a scenario file.
const bytesMax = 1 << 20

// Read reads a scenario from a file. defaults is what holds where the file says nothing.
func Read(path string, defaults bench.Scenario) (bench.Scenario, error) {
	f, err := os.Open(path)
	if err != nil {
		return defaults, fmt.Errorf("the scenario cannot be read: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, bytesMax+1))
	if err == nil && len(text) > bytesMax {
		err = fmt.Errorf("it is larger than %d bytes", bytesMax)
	}
	if err != nil {
		return defaults, fmt.Errorf("the scenario %s: %w", path, err)
	}
	s, err := Parse(text, defaults)
	if err != nil {
		return defaults, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// Parse reads a scenario. All that is wrong with keys is reported at once, each with its
// line; the rest is for Scenario.Validate.
func Parse(text []byte, defaults bench.Scenario) (bench.Scenario, error) {
	var root yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&root); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("it is empty; it needs a target and phases")
		}
		return defaults, err
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return defaults, errors.New("it has more than one document; remove the --- between them")
	}
	var f file
	var c checker
	c.check(root.Content[0], reflect.TypeFor[file]())
	if len(c.problems) > 0 {
		return defaults, errors.Join(c.problems...)
	}
	if err := root.Decode(&f); err != nil {
		return defaults, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	return f.scenario(defaults)
}

// scenario puts what the file says over the defaults.
func (f file) scenario(s bench.Scenario) (bench.Scenario, error) {
	if len(f.Target.URLs) == 0 {
		return s, errors.New("target.url is missing: whom does the load go to?")
	}
	if len(f.Phases) == 0 {
		return s, errors.New("phases is missing: nothing would be done")
	}
	if f.Name != "" {
		s.Name = f.Name
	}
	s.Target = f.Target.spec()
	if len(f.API.URLs) > 0 {
		api, err := bench.ParseAPI(f.API.URLs...)
		if err != nil {
			return s, err
		}
		api.Token, api.Streams = f.API.Token, max(f.API.Streams, 1)
		s.API = api
	}
	s.Processes, s.Loops = max(f.Processes, s.Processes), max(f.Loops, s.Loops)
	if len(f.ServerPIDs) > 0 {
		s.ServerPIDs = f.ServerPIDs
	}
	s.Thresholds = append(f.Thresholds, s.Thresholds...)
	for i, p := range f.Phases {
		s.Phases = append(s.Phases, p.phase())
		if !p.Ramp {
			continue
		}
		if s.Ramp != nil {
			return s, errors.New("two phases are a ramp; there can be one")
		}
		r := bench.DefaultRamp(i)
		s.Ramp = &r
	}
	return s, nil
}

func (t fileTarget) spec() target.Spec {
	s := target.Default()
	s.URL, s.Also = t.URLs[0], t.URLs[1:]
	s.TokenSecret, s.Headers, s.Subprotocol, s.Sources = t.TokenSecret, t.Headers, t.Subprotocol, t.Source
	s.CA, s.Insecure = t.CA, t.Insecure
	if t.Account != nil {
		s.Account = *t.Account
	}
	if t.Device != nil {
		s.Device = *t.Device
	}
	return s
}

// checker walks nodes and the types that they are for side by side, and collects the
// keys that are not known.
type checker struct{ problems []error }

func (c *checker) complain(n *yaml.Node, format string, args ...any) {
	c.problems = append(c.problems, fmt.Errorf("line %d: %s", n.Line, fmt.Sprintf(format, args...)))
}

func (c *checker) check(n *yaml.Node, t reflect.Type) {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch {
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct && n.Kind == yaml.SequenceNode:
		for _, item := range n.Content {
			c.check(item, t.Elem())
		}
	case t.Kind() == reflect.Struct && n.Kind == yaml.MappingNode:
		c.mapping(n, t)
	case t.Kind() == reflect.Struct && n.Tag != "!!null":
		c.complain(n, "keys and values are expected here, like %s: …", key(t.Field(0)))
	}
}

// mapping checks the keys of one mapping.
func (c *checker) mapping(n *yaml.Node, t reflect.Type) {
	known := map[string]reflect.StructField{}
	for i := range t.NumField() {
		known[key(t.Field(i))] = t.Field(i)
	}
	allowed := names(known)
	what := ""
	if t == reflect.TypeFor[filePhase]() {
		kind, ok := c.kind(n)
		if !ok {
			return
		}
		what, allowed = "phase "+string(kind)+" has no key ", append([]string{"phase"}, keys[kind]...)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name := n.Content[i].Value
		field, is := known[name]
		switch {
		case !is:
			c.complain(n.Content[i], "there is no key %q; did you mean %q?", name, nearest(name, allowed))
		case !slices.Contains(allowed, name):
			c.complain(n.Content[i], "%s%q; it has %s", what, name, strings.Join(allowed[1:], ", "))
		default:
			c.check(n.Content[i+1], field.Type)
		}
	}
}

// kind returns which kind of phase a mapping is.
func (c *checker) kind(n *yaml.Node) (generator.Kind, bool) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value != "phase" {
			continue
		}
		kind := generator.Kind(n.Content[i+1].Value)
		if _, ok := keys[kind]; ok {
			return kind, true
		}
		var all []string
		for _, k := range generator.Kinds() {
			all = append(all, string(k))
		}
		c.complain(n.Content[i+1], "there is no phase %q; did you mean %q? There are %s", kind, nearest(string(kind), all), strings.Join(all, ", "))
		return "", false
	}
	c.complain(n, "this phase does not say which: write phase: open, for example")
	return "", false
}

func key(f reflect.StructField) string { return f.Tag.Get("yaml") }

func names(known map[string]reflect.StructField) (all []string) {
	for name := range known {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// nearest returns the candidate with the fewest letters changed.
func nearest(name string, candidates []string) string {
	best, distance := "", math.MaxInt
	for _, c := range candidates {
		if d := levenshtein.ComputeDistance(name, c); d < distance {
			best, distance = c, d
		}
	}
	return best
}

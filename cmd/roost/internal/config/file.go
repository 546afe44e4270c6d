package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// FileBytesMax bounds a configuration file. The default file is a few tens of
// KiB; anything near a MiB is not a configuration.
const FileBytesMax = 1 << 20

// fromFile applies a YAML file, in these steps: read it whole within its limit;
// parse one document into nodes, which know their line and column; walk nodes
// and settings side by side.
func fromFile(root *entry, path string, origins Origins) Problems {
	data, err := readFile(path)
	if err != nil {
		return Problems{{Where: path, Message: err.Error()}}
	}
	doc, err := parseOne(data)
	if err != nil {
		where, message := yamlPlace(path, data, err)
		return Problems{{Where: where, Message: message}}
	}
	if doc == nil {
		return nil
	}
	w := walk{root: root, path: path, origins: origins}
	w.section(root, doc)
	return w.problems
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("no such file; `roost default-config > " + path + "` writes one to begin with")
	}
	if err != nil {
		return nil, errors.New("cannot be read: " + reason(err))
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, FileBytesMax+1))
	if err != nil {
		return nil, errors.New("cannot be read: " + reason(err))
	}
	if len(data) > FileBytesMax {
		return nil, fmt.Errorf("is larger than %d bytes, which no configuration is", FileBytesMax)
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, errors.New("the file is empty, which is more often an accident than meant; leave --config out to use the defaults")
	}
	return data, nil
}

// reason drops the "open path:" of a path error, since the place says it.
func reason(err error) string {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err.Error()
	}
	return err.Error()
}

// parseOne returns the root node of the only document; nil for a file that
// holds nothing but comments, which is how an operator asks for the defaults.
func parseOne(data []byte) (*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		return nil, err
	}
	if err := dec.Decode(&second); !errors.Is(err, io.EOF) {
		if err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("yaml: line %d: a second document begins here; a configuration is one document, remove the --- between them", second.Line)
	}
	if doc.Content[0].Tag == "!!null" {
		return nil, nil
	}
	return doc.Content[0], nil
}

var yamlLine = regexp.MustCompile(`^yaml: (?:unmarshal errors:\s*)?(?:line (\d+): )?`)

// yamlPlace turns the parser's error into a place and a message. The parser
// speaks of tokens where a tab is the reason, so tabs are looked for first.
func yamlPlace(path string, data []byte, err error) (where, message string) {
	for i, line := range bytes.Split(data, []byte("\n")) {
		indent := line[:len(line)-len(bytes.TrimLeft(line, " \t"))]
		if tab := bytes.IndexByte(indent, '\t'); tab >= 0 && len(indent) < len(bytes.TrimRight(line, "\r")) {
			return fmt.Sprintf("%s:%d:%d", path, i+1, tab+1), "found a tab; YAML is indented with spaces, two for each level"
		}
	}
	m := yamlLine.FindStringSubmatch(err.Error())
	message = "not valid YAML: " + strings.TrimPrefix(err.Error(), "yaml: ")
	if strings.HasSuffix(message, "end of stream") {
		message += "; a quote or a bracket is never closed"
	}
	if m == nil || m[1] == "" {
		return path, message
	}
	message = err.Error()[len(m[0]):]
	if !strings.HasPrefix(message, "a second document") {
		message = "not valid YAML: " + message
	}
	return path + ":" + m[1], message
}

// walk goes through nodes and settings side by side and collects what does not fit.
type walk struct {
	root     *entry
	path     string
	origins  Origins
	problems Problems
}

func (w *walk) section(e *entry, n *yaml.Node) {
	n = follow(n)
	if n.Tag == "!!null" {
		return // every setting of the section is commented out
	}
	if n.Kind != yaml.MappingNode {
		if e == w.root {
			w.add(n, "", fmt.Sprintf("found %s; settings are wanted, a line each: listen: \":8080\"", nodeKind(n)))
		} else {
			w.add(n, e.key, e.wrong(nodeKind(n)).Error())
		}
		return
	}
	seen := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		key := name.Value
		if e.key != "" {
			key = e.key + "." + key
		}
		if first := seen[name.Value]; first != nil {
			w.add(name, key, fmt.Sprintf("set twice; the first is at line %d, keep one", first.Line))
			continue
		}
		seen[name.Value] = name
		switch child := e.child(name.Value); {
		case name.Kind != yaml.ScalarNode || child == nil:
			w.add(name, key, unknownKey(w.root, key))
		case child.isSection():
			w.section(child, value)
		default:
			w.setting(child, value)
		}
	}
}

func (w *walk) setting(e *entry, n *yaml.Node) {
	n = follow(n)
	switch isList := e.value.Kind().String() == "slice"; {
	case n.Tag == "!!null":
		w.add(n, e.key, e.wrong("nothing").Error())
		return
	case isList != (n.Kind == yaml.SequenceNode):
		w.add(n, e.key, e.wrong(nodeKind(n)).Error())
		return
	case isList:
		w.list(e, n)
		return
	case n.Kind != yaml.ScalarNode:
		w.add(n, e.key, e.wrong(nodeKind(n)).Error())
		return
	}
	if err := e.set(n.Value); err != nil {
		w.add(n, e.key, err.Error())
		return
	}
	w.origins[e.key] = w.place(n)
}

func (w *walk) list(e *entry, n *yaml.Node) {
	items := make([]string, 0, len(n.Content))
	for _, item := range n.Content {
		item = follow(item)
		if item.Kind != yaml.ScalarNode || item.Tag == "!!null" {
			w.add(item, e.key, fmt.Sprintf("found %s in the list; each item is a text", nodeKind(item)))
			return
		}
		items = append(items, item.Value)
	}
	e.setList(items)
	w.origins[e.key] = w.place(n)
}

func (w *walk) add(n *yaml.Node, key, message string) {
	w.problems = append(w.problems, Problem{Where: w.place(n), Key: key, Message: message})
}

func (w *walk) place(n *yaml.Node) string {
	return fmt.Sprintf("%s:%d:%d", w.path, n.Line, n.Column)
}

// follow returns what an alias (*name) stands for.
func follow(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

func nodeKind(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a section"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Tag == "!!null":
		return "nothing"
	}
	return describe(n.Value)
}

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

// sourcePackage is one folder with Go files.
type sourcePackage struct {
	dir   string // relative to the root of the module
	files []sourceFile
}

type sourceFile struct {
	path    string
	isTest  bool
	lines   int
	imports []string
	hasDoc  bool     // a comment on the package clause
	clocks  []string // the functions of package time in use that read or wait for the time
}

// readPackages parses every Go file of the module, whatever its build tags.
func readPackages(root fs.FS) ([]sourcePackage, error) {
	byDir := map[string]*sourcePackage{}
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(name)
		if d.IsDir() {
			hidden := strings.HasPrefix(base, ".") && name != "."
			if hidden || base == "testdata" || base == "node_modules" || name == "bin" || name == "data" {
				return fs.SkipDir
			}
			if _, err := fs.Stat(root, path.Join(name, "go.mod")); err == nil && name != "." {
				return fs.SkipDir // a module of its own: its imports are not ours
			}
			return nil
		}
		if !strings.HasSuffix(base, ".go") || strings.HasPrefix(base, "_") || strings.HasPrefix(base, ".") {
			return nil
		}
		f, err := readSource(root, name)
		if err != nil {
			return err
		}
		dir := path.Dir(name)
		if byDir[dir] == nil {
			byDir[dir] = &sourcePackage{dir: dir}
		}
		byDir[dir].files = append(byDir[dir].files, f)
		return nil
	})
	var packages []sourcePackage
	for _, p := range byDir {
		packages = append(packages, *p)
	}
	slices.SortFunc(packages, func(a, b sourcePackage) int { return strings.Compare(a.dir, b.dir) })
	return packages, err
}

func readSource(root fs.FS, name string) (sourceFile, error) {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return sourceFile{}, err
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments)
	if err != nil {
		return sourceFile{}, err
	}
	f := sourceFile{path: name, isTest: strings.HasSuffix(name, "_test.go"), lines: bytes.Count(text, []byte("\n")), hasDoc: parsed.Doc != nil}
	timeName := "time"
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return f, err
		}
		f.imports = append(f.imports, imported)
		if imported == "time" && spec.Name != nil {
			timeName = spec.Name.Name
		}
	}
	if !slices.Contains(f.imports, "time") {
		return f, nil
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == timeName && slices.Contains(clocks, s.Sel.Name) {
				f.clocks = append(f.clocks, s.Sel.Name)
			}
		}
		return true
	})
	return f, nil
}

// badTopLevel names entries of the root that nobody decided on.
func badTopLevel(root fs.FS) (problems []string) {
	allowed := slices.Clone(topLevel)
	if text, err := fs.ReadFile(root, ".gitignore"); err == nil {
		for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
			allowed = append(allowed, strings.Trim(lines.Text(), "/"))
		}
	}
	entries, err := fs.ReadDir(root, ".")
	if err != nil {
		return []string{err.Error()}
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(allowed, e.Name()) {
			problems = append(problems, e.Name()+": the top level is fixed (DESIGN.md, The tree)")
		}
	}
	return problems
}

// badDoc wants a doc.go that says what the package is. A folder of tests only
// has none.
func (p sourcePackage) badDoc() []string {
	code := false
	for _, f := range p.files {
		code = code || !f.isTest
		if path.Base(f.path) == "doc.go" && f.hasDoc {
			return nil
		}
	}
	if !code {
		return nil
	}
	return []string{p.dir + ": has no doc.go with a comment on the package"}
}

func (p sourcePackage) badImports() (problems []string) {
	if _, ok := layers[p.dir]; !ok {
		return []string{p.dir + ": has no layer; decide on one in layers_test.go"}
	}
	for _, f := range p.files {
		for _, imported := range f.imports {
			if why := p.bad(f, imported); why != "" {
				problems = append(problems, fmt.Sprintf("%s imports %s: %s", f.path, imported, why))
			}
		}
	}
	return problems
}

// bad says why the file must not import that package; empty: it may.
func (p sourcePackage) bad(f sourceFile, imported string) string {
	if ours, ok := strings.CutPrefix(imported, module+"/"); ok {
		return p.badOurs(f, ours)
	}
	if first, _, _ := strings.Cut(imported, "/"); strings.Contains(first, ".") {
		return p.badOutside(f, imported)
	}
	if !f.isTest && p.isPure() && slices.Contains(noIO, imported) && !slices.Contains(mayReach[p.dir], imported) {
		return "no sockets and no files below the edges"
	}
	return ""
}

// isPure reports whether the package does no I/O: everything below the edges
// but the reactor itself.
func (p sourcePackage) isPure() bool { return layers[p.dir] < edges && p.dir != "netpoll" }

func (p sourcePackage) badOurs(f sourceFile, ours string) string {
	mine, other := layers[p.dir], layers[ours]
	switch {
	case other == 0:
		return "it has no layer"
	case ours == p.dir && f.isTest: // an external test of its own package
		return ""
	case other == kit:
		if f.isTest || mine == kit {
			return ""
		}
		return "it is for tests"
	case other == mains:
		return "a command is imported by nobody"
	case mine == kit:
		return ""
	case strings.Contains(ours, "/internal/") && mine != mains:
		if other == mine || mine < inside {
			return "it is the inside of a command"
		}
		return ""
	case within(p.dir, loadTester+"/...") && within(ours, loadTester+"/..."):
		return ""
	case within(p.dir, loadTester+"/...") && !slices.Contains(loadTesterImports, ours) && !f.isTest:
		return "the load tester sees a server from outside only"
	case other == mine && !f.isTest:
		return "packages of one layer do not know each other"
	case other > mine:
		return "imports go downwards only"
	}
	return ""
}

func (p sourcePackage) badOutside(f sourceFile, imported string) string {
	for _, o := range outside {
		if !strings.HasPrefix(imported, o.prefix) {
			continue
		}
		for _, name := range o.packages {
			if within(p.dir, name) {
				return ""
			}
		}
		if f.isTest && o.tests {
			return ""
		}
		return fmt.Sprintf("%s belongs to %s", o.prefix, strings.Join(o.packages, ", "))
	}
	return "nobody decided on this module; decide in layers_test.go"
}

// within reports whether dir is what the pattern means: x, x/... or x/*.
func within(dir, pattern string) bool {
	if top, ok := strings.CutSuffix(pattern, "/..."); ok {
		return dir == top || strings.HasPrefix(dir, top+"/")
	}
	if top, ok := strings.CutSuffix(pattern, "/*"); ok {
		return strings.HasPrefix(dir, top+"/")
	}
	return dir == pattern
}

// badClocks names packages below the edges that look at the clock themselves:
// their tests would have to wait for it.
func (p sourcePackage) badClocks() (problems []string) {
	if !p.isPure() {
		return nil
	}
	for _, f := range p.files {
		for _, name := range f.clocks {
			if !f.isTest && !slices.Contains(mayTime[p.dir], name) {
				problems = append(problems, fmt.Sprintf("%s uses time.%s: clocks are passed in below the edges", f.path, name))
			}
		}
	}
	return problems
}

// TestLayersCatch breaks every rule once, in a tree of its own, so that the
// test over the real sources is known to be able to fail.
func TestLayersCatch(t *testing.T) {
	const doc = "// Package x is.\npackage x\n"
	imports := func(of ...string) string {
		return doc + "import (\n_ \"" + strings.Join(of, "\"\n_ \"") + "\"\n)\n"
	}
	for _, c := range []struct{ name, file, text, want string }{
		{"a top-level entry", "notes.txt", "", "notes.txt: the top level is fixed (DESIGN.md, The tree)"},
		{"no layer", "session/new/doc.go", doc, "session/new: has no layer; decide on one in layers_test.go"},
		{"no doc.go", "store/open.go", doc, "store: has no doc.go with a comment on the package"},
		{"no comment", "store/doc.go", "package x\n", "store: has no doc.go with a comment on the package"},
		{"upwards", "session/doc.go", imports(module + "/session/auth"), "session/doc.go imports github.com/roostpush/roost/session/auth: imports go downwards only"},
		{"upwards from a test", "store/x_test.go", imports(module + "/cmd/roost/internal/config"), "store/x_test.go imports github.com/roostpush/roost/cmd/roost/internal/config: it is the inside of a command"},
		{"sideways", "session/relay/doc.go", imports(module + "/session/deliver"), "session/relay/doc.go imports github.com/roostpush/roost/session/deliver: packages of one layer do not know each other"},
		{"nouns and bytes", "netpoll/doc.go", imports(module + "/session"), "netpoll/doc.go imports github.com/roostpush/roost/session: packages of one layer do not know each other"},
		{"bench knows too much", "bench/doc.go", imports(module + "/session/deliver"), "bench/doc.go imports github.com/roostpush/roost/session/deliver: the load tester sees a server from outside only"},
		{"a kit in the product", "session/api/doc.go", imports(module + "/netpoll/netpolltest"), "session/api/doc.go imports github.com/roostpush/roost/netpoll/netpolltest: it is for tests"},
		{"an import without a layer", "session/api/doc.go", imports(module + "/session/gone"), "session/api/doc.go imports github.com/roostpush/roost/session/gone: it has no layer"},
		{"gnet elsewhere", "session/api/doc.go", imports("github.com/panjf2000/gnet/v2/pkg/netpoll"), "session/api/doc.go imports github.com/panjf2000/gnet/v2/pkg/netpoll: github.com/panjf2000/gnet belongs to netpoll"},
		{"Pebble in a test elsewhere", "session/api/x_test.go", imports("github.com/cockroachdb/pebble/v2"), "session/api/x_test.go imports github.com/cockroachdb/pebble/v2: github.com/cockroachdb/pebble belongs to store"},
		{"metrics in netpoll", "netpoll/doc.go", imports("github.com/VictoriaMetrics/metrics"), "netpoll/doc.go imports github.com/VictoriaMetrics/metrics: github.com/VictoriaMetrics/metrics belongs to session/*, store, bench/..., cmd/..."},
		{"metrics in session", "session/doc.go", imports("github.com/VictoriaMetrics/metrics"), "session/doc.go imports github.com/VictoriaMetrics/metrics: github.com/VictoriaMetrics/metrics belongs to session/*, store, bench/..., cmd/..."},
		{"a module nobody decided on", "store/doc.go", imports("example.com/left-pad"), "store/doc.go imports example.com/left-pad: nobody decided on this module; decide in layers_test.go"},
		{"a socket in a verb", "session/deliver/doc.go", imports("net"), "session/deliver/doc.go imports net: no sockets and no files below the edges"},
		{"a clock in a noun", "session/doc.go", "// Package x is.\npackage x\nimport clock \"time\"\nvar now = clock.Now\n", "session/doc.go uses time.Now: clocks are passed in below the edges"},
		{"a long file", "store/doc.go", doc + strings.Repeat("\n", 700), "store/doc.go: longer than 700 lines"},
		{"a long test is noted only", "store/x_test.go", doc + strings.Repeat("\n", 700), ""},
		{"downwards", "session/api/doc.go", imports(module+"/session/wire", module+"/netpoll", "net/http"), ""},
		{"a test's kit", "session/api/x_test.go", imports(module+"/netpoll/netpolltest", "go.uber.org/goleak", "github.com/gobwas/ws"), ""},
		{"ignored by git", "data/x.txt", "", ""},
		{"not ours", "session/api/testdata/x/x.go", "package nonsense\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			tree := fstest.MapFS{".gitignore": {Data: []byte("/data/\n")}, c.file: {Data: []byte(c.text)}}
			problems, _ := holdRules(t, tree)
			if path.Base(c.file) != "doc.go" && strings.HasSuffix(c.file, ".go") {
				problems = slices.DeleteFunc(problems, func(s string) bool { return s != c.want && strings.Contains(s, "has no doc.go") })
			}
			if got := strings.Join(problems, "\n"); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestLayersLeaveOtherModules holds that a folder with a go.mod may import what it
// likes, and that the go.mod is the reason.
func TestLayersLeaveOtherModules(t *testing.T) {
	tree := fstest.MapFS{
		"bench/peers/main.go": {Data: []byte("package main\n\nimport _ \"example.com/left-pad\"\n")},
		"go.mod":              {Data: []byte("module example.com/root\n")},
	}
	if problems, _ := holdRules(t, tree); len(problems) == 0 {
		t.Error("a package without a layer was let pass")
	}
	tree["bench/peers/go.mod"] = &fstest.MapFile{Data: []byte("module example.com/peers\n")}
	if problems, _ := holdRules(t, tree); len(problems) > 0 {
		t.Error(problems)
	}
}

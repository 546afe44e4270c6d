package target

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Spec is a target as the user wrote it. It travels to generator processes as
// JSON; each of them compiles it again.
type Spec struct {
	URL         string   `json:"url"`                    // ws:// or wss://host:port/path, a template
	Also        []string `json:"also,omitempty"`         // URLs of further nodes of one cluster; connections go to all of them in turn
	Account     string   `json:"account"`                // template of the query's account; empty: none
	Device      string   `json:"device"`                 // template of the query's device; empty: none
	Headers     []string `json:"headers"`                // "Name: value", templates
	Subprotocol []string `json:"subprotocol"`            // offered, in this order
	TokenSecret string   `json:"token_secret,omitempty"` // HS256 secret; Redacted drops it
	Sources     string   `json:"sources"`                // see ParseSources
	CA          string   `json:"ca,omitempty"`           // wss: PEM file of authorities; empty: the system's
	Insecure    bool     `json:"insecure,omitempty"`     // wss: any certificate is taken
	Addrs       []string `json:"addrs"`                  // host:port of each URL, resolved to an address by the parent; empty: resolve
}

// Default returns the identities that suit Roost and harm nobody else.
func Default() Spec { return Spec{Account: "acc-{i}", Device: "dev-{i}"} }

// Text returns the URLs as a report shows them.
func (s Spec) Text() string { return strings.Join(append([]string{s.URL}, s.Also...), ", ") }

// Redacted returns the spec as a report may show it.
func (s Spec) Redacted() Spec {
	s.TokenSecret, s.Headers = "", slices.Clone(s.Headers)
	for i, h := range s.Headers {
		if name, _, _ := strings.Cut(h, ":"); strings.EqualFold(name, "Authorization") || strings.EqualFold(name, "Cookie") {
			s.Headers[i] = name + ": (redacted)"
		}
	}
	return s
}

// NodesMax bounds the nodes of one target: a connection keeps the number of its own in a
// byte.
const NodesMax = 256

// Target is a compiled Spec. It is immutable but for its Minter: make one for each
// loop.
type Target struct {
	Nodes   []Node // one or more
	Sources []netip.Addr

	minter  *Minter  // nil: no token
	account Template // JSON text
	device  Template // JSON text
}

// Node is one server of a target.
type Node struct {
	Host string      // of the Host header
	Dial string      // host:port to resolve and connect to
	TLS  *tls.Config // nil: ws://

	head Template // the request up to where the token goes
}

// NodeOf returns the number of the node that connection i goes to.
func (t *Target) NodeOf(i int64) int { return int(i % int64(len(t.Nodes))) }

// Secure says whether it is wss://, which holds of all nodes or of none.
func (t *Target) Secure() bool { return t.Nodes[0].TLS != nil }

// Compile reads the whole spec and reports the first thing wrong with it.
func (s Spec) Compile(now time.Time) (*Target, error) {
	t := &Target{}
	var err error
	if t.Sources, err = ParseSources(s.Sources); err != nil {
		return nil, err
	}
	if t.account, err = ParseTemplate(s.Account, quoteJSON); err != nil {
		return nil, fmt.Errorf("--account: %w", err)
	}
	if t.device, err = ParseTemplate(s.Device, quoteJSON); err != nil {
		return nil, fmt.Errorf("--device: %w", err)
	}
	if s.TokenSecret != "" {
		t.minter = NewMinter(s.TokenSecret, t.account, t.device, now)
	}
	urls := append([]string{s.URL}, s.Also...)
	if len(urls) > NodesMax {
		return nil, fmt.Errorf("%d nodes are named, and one run takes %d", len(urls), NodesMax)
	}
	for i, url := range urls {
		n, err := s.node(url)
		if err != nil {
			return nil, err
		}
		if i < len(s.Addrs) {
			n.Dial = s.Addrs[i]
		}
		if t.Nodes = append(t.Nodes, n); (n.TLS != nil) != t.Secure() {
			return nil, fmt.Errorf("%s and %s: one run takes nodes with ws:// or nodes with wss://", s.URL, url)
		}
	}
	if !t.Secure() && (s.CA != "" || s.Insecure) {
		return nil, errors.New("--ca and --insecure are for wss://")
	}
	return t, nil
}

// node reads one URL.
func (s Spec) node(url string) (n Node, err error) {
	host, path, secure, err := splitURL(url)
	if err != nil {
		return n, err
	}
	n.Host, n.Dial = host, host
	if !strings.Contains(host, ":") || strings.HasSuffix(host, "]") {
		n.Dial = host + map[bool]string{false: ":80", true: ":443"}[secure]
	}
	if secure {
		if n.TLS, err = s.tls(host); err != nil {
			return n, err
		}
	}
	if s.TokenSecret == "" {
		if path, err = s.addIdentity(path); err != nil {
			return n, err
		}
	}
	text, err := s.request(host, path)
	if err != nil {
		return n, err
	}
	n.head, err = ParseTemplate(text, nil)
	return n, err
}

// splitURL cuts the URL by hand where net/url would escape the template's braces.
func splitURL(text string) (host, path string, secure bool, err error) {
	scheme, rest, ok := strings.Cut(text, "://")
	switch {
	case ok && strings.EqualFold(scheme, "wss"):
		secure = true
	case !ok || !strings.EqualFold(scheme, "ws"):
		return "", "", false, fmt.Errorf("target %q is not a URL like ws://127.0.0.1:8080/ws", text)
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	host, path = rest[:end], rest[end:]
	path, _, _ = strings.Cut(path, "#")
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	if _, err := url.Parse("ws://" + host + "/"); err != nil || host == "" {
		return "", "", false, fmt.Errorf("target %q has no host that could be connected to", text)
	}
	if strings.ContainsAny(path, " \r\n\t") {
		return "", "", false, fmt.Errorf("target %q: a path has no spaces; escape them as %%20", text)
	}
	return host, path, secure, nil
}

func (s Spec) addIdentity(path string) (string, error) {
	for _, member := range []struct{ name, template string }{{"account", s.Account}, {"device", s.Device}} {
		if member.template == "" {
			continue
		}
		escaped, err := escapeTemplate(member.template, url.QueryEscape)
		if err != nil {
			return "", fmt.Errorf("--%s: %w", member.name, err)
		}
		separator := "?"
		if strings.Contains(path, "?") {
			separator = "&"
		}
		path += separator + member.name + "=" + escaped
	}
	return path, nil
}

// request writes the handshake (RFC 6455 section 4.1) up to the token; its text is
// a template still.
func (s Spec) request(host, path string) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n", path, strings.ReplaceAll(host, "{", "{{"), Key)
	if len(s.Subprotocol) > 0 {
		fmt.Fprintf(&b, "Sec-WebSocket-Protocol: %s\r\n", strings.Join(s.Subprotocol, ", "))
	}
	for _, h := range s.Headers {
		name, value, ok := strings.Cut(h, ":")
		value = strings.TrimSpace(value)
		if !ok || name == "" || strings.ContainsAny(name, " \t\r\n") || strings.ContainsAny(value, "\r\n") {
			return "", fmt.Errorf("--header %q is not of the form 'Name: value'", h)
		}
		fmt.Fprintf(&b, "%s: %s\r\n", name, value)
	}
	return b.String(), nil
}

// AppendRequest appends the whole handshake of connection i with a node.
func (t *Target) AppendRequest(dst []byte, node int, i int64) []byte {
	dst = t.Nodes[node].head.Append(dst, i)
	if t.minter != nil {
		dst = append(dst, "Authorization: Bearer "...)
		dst = t.minter.Append(dst, i)
		dst = append(dst, "\r\n"...)
	}
	return append(dst, "\r\n"...)
}

// AppendAccount appends connection i's account as the text between the quotes of a
// JSON string.
func (t *Target) AppendAccount(dst []byte, i int64) []byte { return t.account.Append(dst, i) }

// AppendDevice appends connection i's device as the text between the quotes of a JSON
// string.
func (t *Target) AppendDevice(dst []byte, i int64) []byte { return t.device.Append(dst, i) }

// quoteJSON escapes text as it stands between the quotes of a JSON string.
func quoteJSON(s string) string {
	quoted, _ := json.Marshal(s) // a string never fails
	return string(quoted[1 : len(quoted)-1])
}

// escapeTemplate escapes a template's literal text and leaves it a template.
func escapeTemplate(text string, escape func(string) string) (string, error) {
	t, err := ParseTemplate(text, escape)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, p := range t.parts {
		b.WriteString(strings.ReplaceAll(p.literal, "{", "{{"))
		switch p.op {
		case 'i':
			b.WriteString("{i}")
		case '/', '%':
			fmt.Fprintf(&b, "{i%c%d}", p.op, p.by)
		}
	}
	return b.String(), nil
}

package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/roostpush/roost/bench/generator"
)

// ParseAPI reads the URLs of the nodes' APIs, like http://127.0.0.1:8081.
func ParseAPI(urls ...string) (a generator.API, err error) {
	a.Streams = 1
	for _, text := range urls {
		n, err := parseAPINode(text)
		if err != nil {
			return generator.API{}, err
		}
		a.Nodes = append(a.Nodes, n)
	}
	return a, nil
}

func parseAPINode(text string) (n generator.APINode, err error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http":
		return n, fmt.Errorf("--api %q is not a URL like http://127.0.0.1:8081 (the internal listener of roost serve)", text)
	case strings.Trim(u.Path, "/") != "":
		return n, fmt.Errorf("--api %q: leave the path out, /v1/messages is added", text)
	}
	n.Addr, n.Host = u.Host, u.Host
	if u.Port() == "" {
		n.Addr = net.JoinHostPort(u.Hostname(), "80")
	}
	return n, nil
}

// probeAPI opens a stream of no pushes to each node, so that a wrong address or token
// costs one sentence and not a run, and resolves the addresses for the workers.
func probeAPI(ctx context.Context, a generator.API, timeout time.Duration) (generator.API, error) {
	a.Nodes = slices.Clone(a.Nodes)
	for i := range a.Nodes {
		if err := probeAPINode(ctx, &a.Nodes[i], a.Token, timeout); err != nil {
			return a, err
		}
	}
	return a, nil
}

func probeAPINode(ctx context.Context, n *generator.APINode, token string, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var addr netip.AddrPort
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, n.Addr)
		if err == nil {
			addr = conn.RemoteAddr().(*net.TCPAddr).AddrPort()
		}
		return conn, err
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+n.Host+"/v1/messages", strings.NewReader(""))
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	request.Header.Set("Content-Type", "application/x-ndjson")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := (&http.Client{Transport: transport}).Do(request)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("the API: nothing listens at %s (connection refused): is it the address of the internal listener?", n.Addr)
	case err != nil:
		return fmt.Errorf("the API at %s cannot be asked: %w", n.Addr, err)
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(answer.Body, 300)) // for the message below only
	switch {
	case answer.StatusCode == http.StatusUnauthorized:
		return fmt.Errorf("the API at %s wants a service token (HTTP 401): pass --api-token", n.Addr)
	case answer.StatusCode != http.StatusOK:
		return fmt.Errorf("the API at %s answered HTTP %d to an empty stream of pushes: %s", n.Addr, answer.StatusCode, strings.TrimSpace(string(body)))
	case !strings.HasPrefix(answer.Header.Get("Content-Type"), "application/x-ndjson"):
		return fmt.Errorf("%s is no API of Roost: it answers a stream of pushes with %q", n.Addr, answer.Header.Get("Content-Type"))
	}
	n.Addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()).String()
	return nil
}

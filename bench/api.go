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
	"strings"
	"syscall"
	"time"

	"github.com/roostpush/roost/bench/generator"
)

// ParseAPI reads the URL of a server's API, like http://127.0.0.1:8081.
func ParseAPI(text string) (generator.API, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http":
		return generator.API{}, fmt.Errorf("--api %q is not a URL like http://127.0.0.1:8081 (the internal listener of roost serve)", text)
	case strings.Trim(u.Path, "/") != "":
		return generator.API{}, fmt.Errorf("--api %q: leave the path out, /v1/messages is added", text)
	}
	a := generator.API{Addr: u.Host, Host: u.Host, Streams: 1}
	if u.Port() == "" {
		a.Addr = net.JoinHostPort(u.Hostname(), "80")
	}
	return a, nil
}

// probeAPI opens a stream of no pushes, so that a wrong address or token costs one
// sentence and not a run, and resolves the address for the workers.
func probeAPI(ctx context.Context, a generator.API, timeout time.Duration) (generator.API, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var addr netip.AddrPort
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, a.Addr)
		if err == nil {
			addr = conn.RemoteAddr().(*net.TCPAddr).AddrPort()
		}
		return conn, err
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+a.Host+"/v1/messages", strings.NewReader(""))
	if err != nil {
		return a, fmt.Errorf("bench: %w", err)
	}
	request.Header.Set("Content-Type", "application/x-ndjson")
	if a.Token != "" {
		request.Header.Set("Authorization", "Bearer "+a.Token)
	}
	answer, err := (&http.Client{Transport: transport}).Do(request)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return a, fmt.Errorf("the API: nothing listens at %s (connection refused): is it the address of the internal listener?", a.Addr)
	case err != nil:
		return a, fmt.Errorf("the API at %s cannot be asked: %w", a.Addr, err)
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(answer.Body, 300)) // for the message below only
	switch {
	case answer.StatusCode == http.StatusUnauthorized:
		return a, fmt.Errorf("the API at %s wants a service token (HTTP 401): pass --api-token", a.Addr)
	case answer.StatusCode != http.StatusOK:
		return a, fmt.Errorf("the API at %s answered HTTP %d to an empty stream of pushes: %s", a.Addr, answer.StatusCode, strings.TrimSpace(string(body)))
	case !strings.HasPrefix(answer.Header.Get("Content-Type"), "application/x-ndjson"):
		return a, fmt.Errorf("%s is no API of Roost: it answers a stream of pushes with %q", a.Addr, answer.Header.Get("Content-Type"))
	}
	a.Addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()).String()
	return a, nil
}

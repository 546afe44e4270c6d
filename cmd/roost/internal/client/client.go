package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// AnswerBytesMax bounds an answer that is read whole: the longest one lists the
// outcomes of 1,000 devices with names of 128 bytes.
const AnswerBytesMax = 4 << 20

// dialTimeout is how long connecting may take. The API is near, or wrong.
const dialTimeout = 5 * time.Second

// Client calls one node's API. Any number of goroutines may use it.
type Client struct {
	base  string
	token string
	http  *http.Client
}

// New returns a client of the API at base, http://host:port. token may be empty:
// the API wants none on loopback.
func New(base, token string) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("--api %q is not a URL such as http://127.0.0.1:8081", base)
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	transport := &http.Transport{DialContext: dialer.DialContext, Proxy: http.ProxyFromEnvironment}
	return &Client{base: strings.TrimRight(base, "/"), token: token, http: &http.Client{Transport: transport}}, nil
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Error is an answer of the API that is a problem (RFC 9457).
type Error struct {
	Status int    // HTTP status
	Code   string `json:"code"`
	Detail string `json:"detail"`
	Title  string `json:"title"`

	Answer Answer        // what became of a push that reached nobody, if it was one
	Wait   string        // the Retry-After header; empty: none
	call   *http.Request // for the advice
}

// Error says what the node answered, and what to do about it where that is known.
func (e *Error) Error() string {
	text := e.Detail
	if text == "" {
		text = e.Title
	}
	if text == "" {
		text = http.StatusText(e.Status)
	}
	text = fmt.Sprintf("%s (%d", text, e.Status)
	if e.Code != "" {
		text += " " + e.Code
	}
	text += ")"
	switch {
	case e.Status == http.StatusUnauthorized:
		text += ": give the service token with --token or ROOST_API_TOKEN"
	case e.Status == http.StatusNotFound && e.Code == "":
		text += fmt.Sprintf(": %s does not look like a node's internal API; give it with --api or ROOST_API", e.call.URL.Host)
	case e.Wait != "":
		text += ": try again after " + e.Wait + " s"
	}
	return text
}

// do sends a request and returns its answer's body, which the caller closes. An
// answer of 300 or above is an *Error.
func (c *Client) do(ctx context.Context, method, path, contentType string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if resp.StatusCode >= 300 {
		defer resp.Body.Close()
		return nil, problemOf(req, resp)
	}
	return resp, nil
}

// unreachable says why no answer came, for a person at a terminal.
func (c *Client) unreachable(err error) error {
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nothing listens at %s: is the node running (roost serve)? another one is given with --api or ROOST_API", c.base)
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("no answer from %s in time: %w", c.base, err)
	}
	return fmt.Errorf("cannot reach %s: %w", c.base, err)
}

func problemOf(req *http.Request, resp *http.Response) error {
	e := &Error{}
	body, err := io.ReadAll(io.LimitReader(resp.Body, AnswerBytesMax))
	if err != nil {
		return fmt.Errorf("client: read answer: %w", err)
	}
	if json.Unmarshal(body, e) == nil {
		// The same object may say what became of the push; if not, Answer stays empty.
		_ = json.Unmarshal(body, &e.Answer)
	} else {
		e.Detail = strings.TrimSpace(string(body[:min(len(body), 200)]))
	}
	e.Status, e.Wait, e.call = resp.StatusCode, resp.Header.Get("Retry-After"), req
	return e
}

// call sends v as JSON, unless it is nil, and reads the answer into out, unless
// that is nil.
func (c *Client) call(ctx context.Context, method, path string, v, out any) error {
	var body io.Reader
	contentType := ""
	if v != nil {
		data, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("client: encode: %w", err)
		}
		body, contentType = bytes.NewReader(data), "application/json"
	}
	resp, err := c.do(ctx, method, path, contentType, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, AnswerBytesMax+1))
	if err != nil {
		return fmt.Errorf("client: read answer: %w", err)
	}
	if len(data) > AnswerBytesMax {
		return fmt.Errorf("client: the answer is longer than %d bytes", AnswerBytesMax)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("client: the answer of %s %s is not what a node says: %w", method, c.base+path, err)
	}
	return nil
}

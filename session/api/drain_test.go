package api

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestADrainingNodeKeepsNoConnection asks before and after Drain: first the connection is
// kept, then each answer ends it, and the next request is answered all the same.
func TestADrainingNodeKeepsNoConnection(t *testing.T) {
	n := newTestNode(t, nil)
	base := n.listen()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	ask := func() (reused, closes bool) {
		t.Helper()
		r, err := http.NewRequest("GET", base+"/v1/nodes", nil)
		if err != nil {
			t.Fatal(err)
		}
		trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }}
		answer, err := client.Do(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if _, err := io.Copy(io.Discard, answer.Body); err != nil || answer.StatusCode != 200 {
			t.Fatalf("%d, %v", answer.StatusCode, err)
		}
		return reused, answer.Close
	}
	ask()
	if reused, closes := ask(); !reused || closes {
		t.Fatalf("before: reused %v, closes %v", reused, closes)
	}
	n.Drain()
	if _, closes := ask(); !closes {
		t.Error("draining, the node kept the connection")
	}
	if reused, closes := ask(); reused || !closes {
		t.Errorf("draining: reused %v, closes %v", reused, closes)
	}
}

// TestShutdownAnswersWhatWasAccepted shuts a node down while clients open connections and
// ask: each that was accepted is answered. net/http alone cuts those whose request comes
// after its Shutdown began.
func TestShutdownAnswersWhatWasAccepted(t *testing.T) {
	for range 20 {
		n := newTestNode(t, nil)
		n.conns.newWait = time.Minute // each says something, however busy the machine is
		base := strings.TrimPrefix(n.listen(), "http://")
		n.Drain()
		var accepted []net.Conn
		for range 50 {
			c, err := net.Dial("tcp", base)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			accepted = append(accepted, c)
		}
		// The kernel has accepted them all; the node has when it counts them.
		eventually(t, "all are accepted", func() bool {
			n.conns.mu.Lock()
			defer n.conns.mu.Unlock()
			return len(n.conns.busy) == len(accepted)
		})
		down := make(chan error, 1)
		go func() { down <- n.Shutdown(context.Background()) }()
		<-n.stopping
		for i, c := range accepted {
			if _, err := io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"); err != nil {
				t.Fatalf("connection %d: %v", i, err)
			}
			answer, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatalf("connection %d: %v", i, err)
			}
			if answer.StatusCode != 200 || !answer.Close {
				t.Errorf("connection %d: %d, closes %v", i, answer.StatusCode, answer.Close)
			}
		}
		if err := <-down; err != nil {
			t.Fatal(err)
		}
	}
}

// lateListener is one whose end is noticed only when it is closed a second time.
type lateListener struct {
	net.Listener
	closes atomic.Int32
	again  chan struct{}
}

func (l *lateListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.again
	}
	return c, err
}

func (l *lateListener) Close() error {
	if l.closes.Add(1) == 2 {
		close(l.again)
	}
	return l.Listener.Close()
}

// TestShutdownBeforeServeNotices: that net/http closes the listener once more cuts nobody.
func TestShutdownBeforeServeNotices(t *testing.T) {
	n := newTestNode(t, nil)
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &lateListener{Listener: inner, again: make(chan struct{})}
	served := make(chan error, 1)
	go func() { served <- n.Serve(l) }()
	answer, err := http.Get("http://" + inner.Addr().String() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if err := n.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

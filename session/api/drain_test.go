package api

import (
	"io"
	"net/http"
	"net/http/httptrace"
	"testing"
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

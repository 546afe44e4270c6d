package mailbox

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/roostpush/roost/session"
)

// silence is a directory of which the nodes that know some accounts do not answer.
type silence struct {
	*town
	heard chan struct{} // closed when they do
}

func (s silence) Devices(account string, dst []string) ([]string, error) {
	if account != "alice" {
		<-s.heard
	}
	return append(dst, "phone"), nil
}

// told passes on what a watcher hears.
type told chan string

func (c told) Kept(_ session.ID, devices int, refused session.Outcome, _ string) {
	c <- fmt.Sprint(devices, " ", refused)
}
func (told) Became(session.ID, string, session.Outcome) {}

// TestSilentDirectory has more pushes wait for the lists of their accounts than there are
// goroutines in Run: those to others, and what waits for devices, are not held up. Beyond lists_max a
// push waits for its turn.
func TestSilentDirectory(t *testing.T) {
	w := newTown(t, homesTest, "a")
	n := w.nodes["a"]
	cfg := Default()
	cfg.ListsMax = 8
	s := silence{w, make(chan struct{})}
	box := New(cfg, Ports{
		Store: n.store, Router: n, Presence: w, Directory: s, Canceller: n, NewID: n.box.newID, Now: func() int64 { return w.now },
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { box.Run(ctx); close(ended) }()
	defer func() { cancel(); <-ended }()
	for !box.listers.isOpen() {
		time.Sleep(time.Millisecond)
	}
	hears := make(told, 100)
	post := func(account string, w Watcher) {
		box.Post(&Push{Account: account, Payload: []byte("x"), ExpiresMS: 2_000_000, Brief: true}, w)
	}
	wait := func(what string) {
		t.Helper()
		select {
		case got := <-hears:
			if got != "1 pending" {
				t.Errorf("%s: %s", what, got)
			}
		case <-time.After(time.Minute):
			t.Fatal(what + " is held up")
		}
	}
	for i := range cfg.ListsMax - 1 {
		post(fmt.Sprint("silent-", i), hears)
	}
	post("alice", hears)
	wait("a push to another account")
	post("silent-too", hears)
	post("silent-last", hears)
	// The goroutine that let alice's through may not have come for its next job yet.
	st := box.Stats()
	for end := time.Now().Add(time.Minute); (st.Listing != 8 || st.Unasked != 1) && time.Now().Before(end); st = box.Stats() {
		time.Sleep(time.Millisecond)
	}
	if st.Listing != 8 || st.Unasked != 1 {
		t.Errorf("%d lists are asked for, %d wait", st.Listing, st.Unasked)
	}
	close(s.heard)
	for range cfg.ListsMax + 1 {
		wait("a push whose list has come")
	}
}

func (l *listers) isOpen() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open
}

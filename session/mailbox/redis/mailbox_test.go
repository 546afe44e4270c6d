package redis

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/mailbox"
)

// node is the surroundings of a mailbox, with one device that acknowledges what it gets.
type node struct {
	mailbox *mailbox.Mailbox
	epoch   uint64
	number  atomic.Uint64
	online  atomic.Uint64

	mu   sync.Mutex
	got  []string
	all  int           // how many the device is to get
	done chan struct{} // closed when it has
	kept sync.WaitGroup
}

func (n *node) start(store mailbox.Store) (end func()) {
	n.epoch++
	epoch := n.epoch
	n.mailbox = mailbox.New(mailbox.Default(), mailbox.Ports{
		Store: store, Router: n, Presence: n, Directory: n, Canceller: n,
		NewID: func() session.ID {
			return session.ID{Origin: session.Origin{Node: "n1", Epoch: epoch}, Number: session.MessageID(n.number.Add(1))}
		},
		Now: func() int64 { return 1_000_000 },
	})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	m := n.mailbox
	running.Go(func() { m.Run(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}

func (n *node) Online(session.Address) (uint64, bool) {
	version := n.online.Load()
	return version, version != 0
}
func (n *node) Devices(_ string, dst []string) ([]string, error) { return append(dst, "d"), nil }
func (n *node) Cancel(session.Address, []session.ID)             {}

func (n *node) Attempt(m *session.Kept, _ uint64, heard func(session.Outcome)) {
	n.mu.Lock()
	n.got = append(n.got, string(m.Payload))
	last := len(n.got) == n.all
	n.mu.Unlock()
	heard(session.Written)
	if !n.mailbox.Acked(m.Address, m.ID) {
		panic("the ack was for nothing")
	}
	if last {
		close(n.done)
	}
}

func (n *node) Kept(_ session.ID, _ int, refused session.Outcome, why string) {
	if refused != session.Pending {
		panic(why)
	}
	n.kept.Done()
}

func (n *node) Became(session.ID, string, session.Outcome) {}

// TestMailbox is the walk of messages to a device that is away: kept in Redis, the node
// ends and begins anew, the device comes, and gets them in order.
func TestMailbox(t *testing.T) {
	server := startServer(t)
	s := server.open(server.config())
	n := &node{all: 500, done: make(chan struct{})}
	end := n.start(s)
	var want []string
	for i := range n.all {
		n.kept.Add(1)
		text := fmt.Sprint("message ", i)
		want = append(want, text)
		n.mailbox.Post(&mailbox.Push{Account: "a", Device: "d", Payload: []byte(text), ExpiresMS: 2_000_000}, n)
	}
	n.kept.Wait()
	end()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	server.kill()
	server.start()

	s = server.open(server.config())
	end = n.start(s)
	n.online.Store(7)
	a := session.Address{Account: "a", Device: "d"}
	n.mailbox.Opened(a, 7)
	<-n.done
	end()
	if strings.Join(n.got, ",") != strings.Join(want, ",") {
		t.Errorf("the device got %v", n.got)
	}
	last := kept("last", 1)
	last.Node = "last"
	if err := put(s, last); err != nil {
		t.Fatal(err)
	}
	left, err := s.Mail(nil, a, session.ID{}, 10, 1000)
	_, list, found, err2 := s.Fates(session.ID{Origin: session.Origin{Node: "n1", Epoch: 1}, Number: 2})
	if err != nil || err2 != nil || len(left) != 0 || !found || list[0].Outcome != session.Acked {
		t.Errorf("left: %v, %v; fate of the first: %v, %v", left, err, list, err2)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

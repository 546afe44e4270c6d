package deliver

import (
	"fmt"
	"testing"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
)

func ponged(n *node, conn uint64, number session.MessageID) string {
	text := ""
	for _, id := range n.Ponged(nil, conn, session.ID{Origin: older, Number: number}) {
		text += id.Text() + " "
	}
	return text
}

// TestPongStandsForThoseBefore: a device may answer the newest of several pings only.
func TestPongStandsForThoseBefore(t *testing.T) {
	n := newNode(nil)
	phone, tv := n.open("alice", "phone", session.Raw), n.open("alice", "tv", session.Raw)
	for i := range 5 {
		m := keptFor("alice", "phone", older)
		m.Number = session.MessageID(i)
		n.attempt(m, 0)
		n.sockets.settle(netpoll.ResultWritten)
	}
	n.attempt(keptFor("alice", "tv", older), 0)
	n.sockets.settle(netpoll.ResultCut) // was never written
	for _, tc := range []struct {
		conn   uint64
		number session.MessageID
		want   string
	}{
		{phone.Conn, 2, "m.14.0 m.14.1 m.14.2 "},
		{phone.Conn, 2, "m.14.2 "}, // nobody will know it
		{phone.Conn, 4, "m.14.3 m.14.4 "},
		{tv.Conn, 8, "m.14.8 "},
		{tv.Conn, 9, "m.14.9 "},
	} {
		if got := ponged(n, tc.conn, tc.number); got != tc.want {
			t.Errorf("a pong of %d acks %s, want %s", tc.number, got, tc.want)
		}
	}
}

func TestPingsAreBounded(t *testing.T) {
	n := newNode(nil)
	n.sockets.now[1] = netpoll.ResultWritten
	phone := n.open("alice", "phone", session.Raw)
	for i := range pingsMax + 3 {
		m := keptFor("alice", "phone", older)
		m.Number = session.MessageID(i)
		n.attempt(m, 0)
	}
	if got := len(n.Ponged(nil, phone.Conn, session.ID{Origin: older, Number: pingsMax + 2})); got != pingsMax || n.Stats().PingsForgotten != 3 {
		t.Errorf("%d are remembered, %d forgotten", got, n.Stats().PingsForgotten)
	}
	n.attempt(keptFor("alice", "phone", older), 0)
	n.ForgetPings(phone.Conn)
	if got := fmt.Sprint(n.pings.shards[phone.Conn%pingShards].of); got != "map[]" {
		t.Errorf("after the connection's end there is %s", got)
	}
}

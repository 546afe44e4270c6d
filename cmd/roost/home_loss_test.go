package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/roostpush/roost/cmd/roost/internal/cluster"
	"github.com/roostpush/roost/cmd/roost/internal/config"
	"github.com/roostpush/roost/session"
)

// TestStormLosesNothing opens 10,000 sessions at once on one node, without sockets, and
// closes half of them; 2,000 with -short, as the race detector is slow.
func TestStormLosesNothing(t *testing.T) {
	t.Parallel()
	nodes := startClusterWith(t, 3, quickly)
	settled(nodes...)
	devices := 10_000
	if testing.Short() {
		devices = 2_000
	}
	n1 := nodes[0].node
	began := time.Now()
	var wait sync.WaitGroup
	for loop := range 2 {
		wait.Go(func() {
			for i := loop; i < devices; i += 2 {
				s := session.New(fmt.Sprint("storm", i), "phone")
				s.OpenedMS = time.Now().UnixMilli()
				n1.sessions.Open(s)
				n1.gate.Journal.Opened(s, "ua", "10.0.0.1:1", []byte(`{"n":1}`))
				if i%4 < 2 {
					n1.sessions.Close(s)
					n1.gate.Journal.Closed(s, time.Now().UnixMilli(), 1000)
				}
			}
		})
	}
	wait.Wait()
	said := time.Since(began)
	settled(nodes...)
	t.Logf("%d facts were noted in %v, and at their homes after %v", devices*3/2, said, time.Since(began))
	for _, n := range nodes {
		n.flush()
	}
	byName := map[string]*testNode{"n1": nodes[0], "n2": nodes[1], "n3": nodes[2]}
	for i := range devices {
		account := fmt.Sprint("storm", i)
		home := nodes[0].home(account)
		rec, ok, err := byName[home].node.store.Device(session.Address{Account: account, Device: "phone"})
		if err != nil || !ok || rec.Online() == (i%4 < 2) || rec.UserAgent != "ua" || rec.Node != "n1" {
			t.Fatalf("%s at %s: %v %v %+v", account, home, ok, err, rec)
		}
	}
	s := stats[cluster.KeepStats](nodes[0])
	t.Logf("%+v", s)
	if s.Lost > 0 || s.Acknowledged < uint64(devices/2) {
		t.Errorf("%+v", s)
	}
	// They have no sockets that could close them.
	var open []*session.Session
	for shard := range n1.sessions.Shards() {
		open = n1.sessions.AppendAll(open, shard)
	}
	for _, sess := range open {
		n1.sessions.Close(sess)
	}
}

// TestHomeIsKilled is the same with processes and SIGKILL.
func TestHomeIsKilled(t *testing.T) {
	data := t.TempDir() + "/n3"
	launch := func(name string, more ...string) *process {
		return startProcess(t, 1024, clusterArgs(name, append([]string{"--set", "cluster.keep.settle_after=50ms"}, more...)...)...)
	}
	n1 := launch("n1")
	n2 := launch("n2", "--set", "gossip.join="+n1.gossipAddr())
	home := []string{"--set", "data=" + data, "--set", "gossip.join=" + n1.gossipAddr() + "," + n2.gossipAddr()}
	p := []*process{n1, n2, launch("n3", home...)}
	linked := func(p *process, others int) {
		t.Helper()
		eventually(t, fmt.Sprint(others, " links"), func() bool { return strings.Count(p.text("/v1/nodes"), `"linked":true`) >= others })
	}
	for _, n := range p {
		linked(n, 2)
	}
	at := func(home string) string {
		for i := 0; ; i++ {
			if name := fmt.Sprint("acc", i); strings.Contains(p[0].text("/v1/accounts/"+name+"/devices/d/route"), `"home":"`+home+`"`) {
				return name
			}
		}
	}
	account, elsewhere := at("n3"), at("n2")
	visitAs := func(p *process, account, device string) {
		t.Helper()
		c, _, _, err := ws.Dial(t.Context(), "ws://"+p.public+"/ws?account="+account+"&device="+device)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	visit := func(p *process, device string) { t.Helper(); visitAs(p, account, device) }
	list := func(p *process) string { return p.text("/v1/accounts/" + account + "/devices") }
	visitAs(p[0], elsewhere, "early")
	visit(p[0], "early")
	eventually(t, "n2 knows the device", func() bool { return strings.Contains(list(p[1]), `"early"`) })
	eventually(t, "it is on the disk of its home", func() bool { // more: a fact that was answered late is sent again
		return metricIn(t, p[0].get("/metrics"), "roost_keep_queued_bytes") == 0 && metricIn(t, p[2].get("/metrics"), "roost_keep_received_total") >= 2
	})
	// And n2 has heard that n3 holds nothing of others: a fact that n3 sends says so as well.
	eventually(t, "n3 has nothing to hand over", func() bool { return metricIn(t, p[2].get("/metrics"), "roost_keep_hand_over_pending") == 0 })
	received := metricIn(t, p[1].get("/metrics"), "roost_keep_received_total")
	visitAs(p[2], elsewhere, "early")
	eventually(t, "n2 hears of n3", func() bool { return metricIn(t, p[1].get("/metrics"), "roost_keep_received_total") > received })
	visit(p[0], "last") // some of its facts are under way when the home dies
	if err := p[2].cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-p[2].ended
	visit(p[0], "late")
	for _, device := range []string{"last", "late"} {
		eventually(t, "n2 knows "+device, func() bool { return strings.Contains(list(p[1]), `"`+device+`"`) })
	}
	// A push to the whole account is kept for the devices that are known, and says that the home
	// may remember more. One to an account whose home is there does not.
	push := func(account string) (answer string) {
		eventually(t, "n2 knows that n3 is gone", func() bool {
			resp, err := http.Post("http://"+p[1].internal+"/v1/messages", "application/json", strings.NewReader(`{"to":{"account":"`+account+`"},"payload":1,"ttl_ms":60000}`))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			text, _ := io.ReadAll(resp.Body)
			answer = string(text)
			return resp.StatusCode == http.StatusAccepted
		})
		return answer
	}
	if a := push(account); !strings.Contains(a, `"device":"last","outcome":"queued"`) || !strings.Contains(a, `{"outcome":"unreachable"}`) {
		t.Errorf("a push to an account whose home is gone: %s", a)
	}
	if a := push(elsewhere); !strings.Contains(a, `"device":"early","outcome":"queued"`) || strings.Contains(a, "unreachable") {
		t.Errorf("a push to an account whose home is there: %s", a)
	}
	p[2] = launch("n3", home...)
	for _, n := range p {
		linked(n, 2)
	}
	for i, n := range p {
		for _, device := range []string{"early", "last", "late"} {
			eventually(t, fmt.Sprint("n", i+1, " knows ", device), func() bool { return strings.Contains(list(n), `"`+device+`"`) })
		}
	}
	eventually(t, "nothing is left to hand over", func() bool {
		return strings.Contains(p[0].text("/metrics"), "roost_keep_hand_over_pending 0\n") && strings.Contains(p[1].text("/metrics"), "roost_keep_hand_over_pending 0\n")
	})
}

// text returns what the internal listener answers; empty when it does not.
func (p *process) text(path string) string {
	resp, err := http.Get("http://" + p.internal + path)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	var b strings.Builder
	_, _ = io.Copy(&b, resp.Body)
	return b.String()
}

// TestLostEndsAreFound: a node whose disk takes nothing more, and whose queues are full,
// loses the ends of its sessions. Their homes find out.
func TestLostEndsAreFound(t *testing.T) {
	t.Parallel()
	nodes := startClusterWith(t, 3, func(c *config.Config) {
		quickly(c)
		c.Cluster.Keep.BatchBytes, c.Cluster.Keep.QueueBytes = 48<<10, 96<<10
	})
	settled(nodes...)
	n1 := nodes[0].node
	var open []*session.Session
	begin := func(i int) {
		s := session.New(fmt.Sprint("lost", i), "phone")
		s.OpenedMS = time.Now().UnixMilli()
		n1.sessions.Open(s)
		n1.gate.Journal.Opened(s, "ua", "10.0.0.1:1", nil)
		open = append(open, s)
	}
	for i := range 300 {
		begin(i)
	}
	settled(nodes...)
	if err := n1.store.Close(); err != nil {
		t.Fatal(err)
	}
	lost := func() uint64 { return stats[cluster.KeepStats](nodes[0]).Lost }
	var first *session.Session // of those whose home is n2
	var gone []*session.Session
	for _, s := range open[:200] {
		if nodes[0].home(s.Account) != "n2" {
			continue
		}
		if first == nil {
			first = s
		}
		n1.sessions.Close(s)
		// The end of the first one is said until the queue for n2 is full; then that of
		// this one is lost, unless the queue was emptied just now.
		for before := lost(); lost() == before; {
			for range 3000 {
				n1.gate.Journal.Closed(first, time.Now().UnixMilli(), 1000)
			}
		}
		before := lost()
		if n1.gate.Journal.Closed(s, time.Now().UnixMilli(), 1000); s != first && lost() > before {
			gone = append(gone, s)
		}
	}
	if len(gone) == 0 {
		t.Fatal("no end was lost")
	}
	t.Logf("%d ends were lost", len(gone))
	for _, s := range gone {
		nodes[1].eventually(s.Account+" reads as closed", func() bool {
			rec, ok := nodes[1].record(s.Account, "phone")
			return ok && !rec.Online()
		})
	}
	for _, s := range open[200:] {
		if n := nodes[0].home(s.Account); n == "n1" {
			continue
		} else if rec, ok := nodes[n[1]-'1'].record(s.Account, "phone"); !ok || !rec.Online() {
			t.Errorf("%s is open and reads as %v, %+v", s.Account, ok, rec)
		}
	}
	nodes[1].eventually("the audit counts them", func() bool { return stats[cluster.KeepStats](nodes[1]).AuditClosed >= uint64(len(gone)) })
	for _, s := range open {
		n1.sessions.Close(s)
	}
}

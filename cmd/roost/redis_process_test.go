package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// redisServer is a real redis-server that syncs each write. It listens at a socket in its
// directory: a port could be somebody else's when it starts again.
type redisServer struct {
	t   *testing.T
	dir string
	cmd *exec.Cmd
}

func startRedis(t *testing.T) *redisServer {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		const missing = "there is no redis-server, against which this is tested: apt-get install redis-server"
		if os.Getenv("CI") == "true" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	r := &redisServer{t: t, dir: t.TempDir()}
	r.start()
	t.Cleanup(r.kill)
	return r
}

func (r *redisServer) start() {
	r.t.Helper()
	r.cmd = exec.Command("redis-server", "--port", "0", "--unixsocket", r.socket(), "--dir", r.dir, "--save", "",
		"--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction")
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	eventually(r.t, "redis-server has read its file", func() bool {
		c, err := net.Dial("unix", r.socket())
		if err != nil {
			return false
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(patience))
		_, _ = c.Write([]byte("PING\r\n"))
		answer := make([]byte, 5)
		_, err = io.ReadFull(c, answer)
		return err == nil && string(answer) == "+PONG"
	})
}

func (r *redisServer) socket() string { return filepath.Join(r.dir, "socket") }

func (r *redisServer) kill() {
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
}

// TestMailboxInRedis kills a node that keeps messages in Redis, and takes its disk: the next
// process of that name has them, and gives no id again. While Redis is away nothing is
// promised, and /readyz says why.
func TestMailboxInRedis(t *testing.T) {
	if testing.Short() {
		t.Skip("real brokers, browsers and processes; make test runs it")
	}
	r := startRedis(t)
	args := []string{"--set", "node=n1", "--set", "mailbox_store=redis", "--set", "redis.url=unix://" + r.socket(),
		"--set", "redis.retry_interval=10ms", "--set", "redis.call_timeout=20s", "--set", "drain.ready_delay=0s", "--set", "drain.over=100ms"}
	p := startProcess(t, 1024, args...)
	n := &testNode{t: t, public: p.public, internal: p.internal}
	kept := map[string]bool{}
	for i := range 3 {
		kept[n.queued("alice", "phone", fmt.Sprint(i))] = true
	}
	_ = p.cmd.Process.Signal(syscall.SIGKILL)
	<-p.ended
	if err := os.RemoveAll(filepath.Join(p.dir, "data")); err != nil {
		t.Fatal(err)
	}

	p = startProcess(t, 1024, args...)
	n = &testNode{t: t, public: p.public, internal: p.internal}
	if id := n.queued("alice", "phone", "3"); kept[id] {
		t.Errorf("id %s was given again by a node with a new disk", id)
	}
	eventually(t, "hello says what was missed", func() bool {
		d := n.dial(ws.Dialer{}, n.url("alice", "phone"))
		defer d.conn.Close()
		return fmt.Sprint(d.read()["missed"]) == "4"
	})
	phone := n.connect("alice", "phone")
	for i := range 4 {
		m := phone.expect(map[string]any{"type": "message", "payload": i, "ack": true})
		phone.say(fmt.Sprintf(`{"type":"ack","ids":[%q]}`, m["id"]))
		eventually(t, "it is acked", func() bool { return n.fate(fmt.Sprint(m["id"])) == "acked" })
	}

	r.kill()
	status, body := n.push(`{"to":{"account":"alice","device":"tv"},"payload":1,"ttl_ms":60000,"wait":"none","timeout_ms":300}`)
	if status < 500 {
		t.Errorf("without Redis a push that is to be kept has %d %s", status, body)
	}
	eventually(t, "/readyz says why", func() bool {
		code, body := n.get("http://" + p.internal + "/readyz")
		return code == 503 && strings.Contains(body, "mailbox_store")
	})
	r.start()
	eventually(t, "it is ready again", func() bool { code, _ := n.get("http://" + p.internal + "/readyz"); return code == 200 })
	n.queued("alice", "tv", "2")
	p.terminates()
}

package gossip

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

const processEnv = "GOSSIP_TEST_PROCESS"

func TestMain(m *testing.M) {
	if args := os.Getenv(processEnv); args != "" {
		beProcess(strings.Fields(args))
		return
	}
	code := m.Run()
	// goleak looks for half a second. memberlist does not wait for its probes when it is shut
	// down, and they take a while on a busy machine.
	err := goleak.Find()
	for end := time.Now().Add(time.Minute); err != nil && time.Now().Before(end); {
		err = goleak.Find()
	}
	if code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// beProcess is a node in a process of its own: it prints its address and lives until
// its standard input ends.
func beProcess(args []string) {
	cfg := quick(args[1])
	cfg.Listen = args[0]
	f, err := Inquire(context.Background(), cfg, "b", quiet)
	if err != nil {
		panic(err)
	}
	g, err := Start(context.Background(), cfg, Member{Node: "b", Epoch: f.Epoch + 1, PeerAddr: "x:1"}, &recorder{}, slog.New(slog.DiscardHandler))
	if err != nil {
		panic(err)
	}
	os.Stdout.WriteString(g.Self().GossipAddr + "\n")
	_, _ = io.Copy(io.Discard, os.Stdin)
	g.Close()
}

// startProcess returns a running one and its address. It is killed when the test ends.
func startProcess(t *testing.T, listen, join string) (*exec.Cmd, string) {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), processEnv+"="+listen+" "+join)
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return c, strings.TrimSpace(addr)
}

// TestKilledProcess: kill -9, the hint, and a successor that takes over at once, on the
// same port and with the next epoch. memberlist's own detection is switched off.
func TestKilledProcess(t *testing.T) {
	cfg := quick()
	cfg.ProbeInterval = cfg.ProbeInterval * 300
	a := startNode(t, cfg, "a", 1)
	// An address of loopback that is nobody else's: its port is free when b comes back.
	b, addr := startProcess(t, "127.41.7.1:0", a.addr())
	eventually(t, "a and b meet", allSee("a#1 b#1", a), a)
	if err := b.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = b.Wait()
	a.Suspect("b")
	eventually(t, "b is dead", func() bool { return a.told.has("left b#1 dead") }, a)
	b, _ = startProcess(t, addr, a.addr())
	eventually(t, "b is back", allSee("a#1 b#2", a), a)

	_ = b.Process.Kill()
	_ = b.Wait()
	startProcess(t, "127.0.0.1:0", a.addr()) // before anybody missed it
	eventually(t, "b is back in one step", func() bool {
		return a.told.has("left b#2 replaced") && allSee("a#1 b#3", a)()
	}, a)
	a.told.check(t)
}

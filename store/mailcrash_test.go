package store

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/roostpush/roost/session"
)

func init() { children["posting"] = postingChild }

func mailCrashConfig(dir string) Config {
	c := crashConfig(dir, time.Second)
	c.LossWindow = 20 * time.Millisecond
	return c
}

// mailCrashPayload is what message n of an epoch says; some are larger than a batch.
func mailCrashPayload(epoch, n uint64) string {
	size := 50 + int(n%7)*30
	if n%5000 == 0 {
		size = 200 << 10
	}
	return strings.Repeat(fmt.Sprintf("payload %d of %d.", n, epoch), size/16+1)[:size]
}

func mailCrashAddress(n uint64) session.Address {
	return session.Address{Account: fmt.Sprint("account", n%50), Device: fmt.Sprint("device", n%3)}
}

// postingChild posts as fast as its disk lets it, from several goroutines, settles most of
// what is kept, and says line by line what it was told: "k N" that message N is kept, "s N"
// that it is about to settle it, "c N" that a message is kept that was posted after the
// settlement, and therefore is behind it.
func postingChild() {
	s, err := Open(mailCrashConfig(os.Getenv("DIR")), "n1", quiet, time.Now)
	if err != nil {
		fmt.Println("open:", err)
		os.Exit(1)
	}
	var mu sync.Mutex
	say := func(what string, n uint64) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintln(os.Stdout, what, n)
	}
	fmt.Println("e", s.Epoch())
	const producers = 16
	for p := range uint64(producers) {
		go func() {
			told := make(chan error, 1)
			settled := uint64(0)
			for n := p + producers; ; n += producers {
				k := session.Kept{ID: session.ID{Origin: session.Origin{Node: "n1", Epoch: s.Epoch()}, Number: session.MessageID(n)},
					Address: mailCrashAddress(n), Payload: []byte(mailCrashPayload(s.Epoch(), n)), SentMS: 1, ExpiresMS: 2}
				s.Post([]session.Kept{k}, func(err error) { told <- err })
				if err := <-told; err != nil {
					fmt.Println("post:", err)
					os.Exit(1)
				}
				say("k", n)
				if settled > 0 {
					say("c", settled)
				}
				if settled = 0; n%10 != 0 {
					settled = n
					say("s", n)
					s.Settle(k.Address, k.ID, session.Acked, time.Now().UnixMilli())
				}
			}
		}()
	}
	select {}
}

// TestKilledProcessKeepsItsPromises kills a process that keeps messages, five times in
// one directory, and looks each time at all that was ever said of them.
func TestKilledProcessKeepsItsPromises(t *testing.T) {
	dir := t.TempDir()
	states := map[session.ID]byte{} // the last that was said of each
	for round := range 5 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"=posting", "DIR="+dir)
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(stdout)
		kill := 2000 + rand.IntN(20_000) // lines: the kill comes in the middle of commits
		id := session.ID{Origin: session.Origin{Node: "n1"}}
		said := 0
		for lines.Scan() {
			var n uint64
			line := lines.Text()
			if _, err := fmt.Sscan(line[1:], &n); err != nil || !strings.Contains("ekcs", line[:1]) {
				t.Fatalf("child said %q", line)
			}
			if line[0] == 'e' {
				id.Epoch = n
				continue
			}
			id.Number = session.MessageID(n)
			states[id] = line[0]
			if said++; said == kill {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait()
		checkPromises(t, dir, states)
		t.Logf("round %d: killed after %d lines, %d messages known", round, kill, len(states))
	}
}

func checkPromises(t *testing.T, dir string, states map[session.ID]byte) {
	t.Helper()
	begin := time.Now()
	s, err := Open(mailCrashConfig(dir), "n1", quiet, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	opened := time.Since(begin)
	waits := map[session.ID]bool{}
	for n := range uint64(150) { // every mailbox there is
		list, err := s.Mail(nil, mailCrashAddress(n), session.ID{}, 1<<30, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		for i, k := range list {
			if waits[k.ID] || i > 0 && (list[i-1].Epoch > k.Epoch || list[i-1].Epoch == k.Epoch && list[i-1].Number >= k.Number) {
				t.Fatalf("%s is there twice or out of order", k.ID.Text())
			}
			waits[k.ID] = true
			if want := mailCrashPayload(k.Epoch, uint64(k.Number)); k.Address != mailCrashAddress(uint64(k.Number)) || string(k.Payload) != want {
				t.Fatalf("%s for %s: %.40q, want %.40q", k.ID.Text(), k.Address, k.Payload, want)
			}
		}
	}
	kept, back := 0, 0
	for id, state := range states {
		switch {
		case state == 'k' && !waits[id]:
			t.Fatalf("%s was kept and is lost", id.Text())
		case state == 'c' && waits[id]:
			t.Fatalf("%s was settled, on disk, and is back", id.Text())
		case state == 's' && waits[id]:
			back++ // its settlement was not on disk
		}
		want := session.Acked
		if waits[id] {
			kept++
			want = session.Queued
		}
		if int(id.Number)%97 != 0 {
			continue
		}
		list, found, err := s.Fates(id)
		if err != nil || !found || len(list) != 1 || list[0].Outcome != want || list[0].Address != mailCrashAddress(uint64(id.Number)) {
			t.Fatalf("fates of %s: %v, %v, %v, want %v", id.Text(), list, found, err, want)
		}
	}
	if n := s.MailStats().Messages; n != int64(len(waits)) {
		t.Fatalf("the store counts %d messages, %d wait", n, len(waits))
	}
	if kept == 0 || len(waits) == len(states) {
		t.Fatalf("%d of %d wait: the test says nothing", kept, len(states))
	}
	t.Logf("opened in %v: %d wait, of which %d came back; %d more than anybody was told of", opened, len(waits), back, len(waits)-kept)
	// A settlement that a kill took is made again: what was set once is removed twice.
	for id := range waits {
		if id.Number%10 != 0 {
			s.Settle(mailCrashAddress(uint64(id.Number)), id, session.Acked, time.Now().UnixMilli())
			states[id] = 'c'
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestCloseRightAfterACrash: a start that ends before it has filed what the last process left
// in memory leaves it to the next one, and loses nothing.
func TestCloseRightAfterACrash(t *testing.T) {
	fs := vfs.NewCrashableMem()
	cfg := testConfig("d")
	cfg.MailYoungAge = time.Minute // nothing is filed before the crash
	s := mustOpen(t, cfg, time.Now, fs)
	want := ""
	for n := range 20 {
		mustPost(t, s, keptFor("a/d", 1, uint64(n+1), fmt.Sprint("m", n)))
		want += fmt.Sprint(" m", n)
	}
	fs = fs.CrashClone(vfs.CrashCloneCfg{})
	for range 5 {
		again := mustOpen(t, cfg, time.Now, fs)
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
	again := mustOpen(t, cfg, time.Now, fs)
	if got := mailOf(t, again, "a/d", session.ID{}, 100, 1<<20); " "+got != want {
		t.Errorf("left: %q, want %q", got, want)
	}
}

// TestUnfiledIsNotCalledFiled: while the store closes before it has filed what the last
// process left, nobody is told that what can be read is all.
func TestUnfiledIsNotCalledFiled(t *testing.T) {
	fs := vfs.NewCrashableMem()
	cfg := testConfig("d")
	cfg.MailYoungAge = time.Minute
	s := mustOpen(t, cfg, time.Now, fs)
	mustPost(t, s, keptFor("a/d", 1, 1, "m"))
	next := &Store{cfg: cfg, node: s.node, log: quiet, now: time.Now, epoch: s.epoch + 1, disk: s.disk, closing: make(chan struct{})}
	next.mail.db, next.mail.inherited = s.mail.db, make(chan struct{})
	next.health.failedC = make(chan struct{})
	close(next.closing)
	next.done.Add(1)
	next.inherit()
	for range 100 { // select takes any that is ready
		if _, err := next.Mail(nil, addressOf("a/d"), session.ID{}, 10, 1<<20); !errors.Is(err, ErrClosed) {
			t.Fatalf("mail of a store that closes: %v", err)
		}
	}
}

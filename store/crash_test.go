package store

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/roostpush/roost/session"
)

func init() { children["writing"] = writingChild }

// What is checked is that the window holds, not how narrow it can be: a machine that is too
// slow for the first one gets a wider one.
const (
	crashWindowMin = time.Second
	crashWindowMax = 16 * time.Second
)

func crashConfig(dir string, window time.Duration) Config {
	c := testConfig(dir)
	c.LossWindow = window
	c.HeartbeatInterval = time.Second
	c.StallAfter = time.Minute
	return c
}

// writingChild opens a hundred sessions fifty times in each window, at 5,000 a second in the
// narrowest, closes every third, and prints, after each hundred, their count, and how many it
// knows to be synced.
func writingChild() {
	window, err := time.ParseDuration(os.Getenv("WINDOW"))
	if err != nil {
		fmt.Println("window:", err)
		os.Exit(1)
	}
	s, err := Open(crashConfig(os.Getenv("DIR"), window), "n1", quiet, time.Now)
	if err != nil {
		fmt.Println("open:", err)
		os.Exit(1)
	}
	tick := time.NewTicker(window / 50)
	for n := uint64(1); ; n++ {
		sess := newSession(fmt.Sprint("account", n%100), fmt.Sprint("device", n), n, time.Now().UnixMilli())
		s.Opened(sess, "a user agent of usual length, like Mozilla/5.0", "127.0.0.1:12345", nil)
		if n%3 == 0 {
			s.Closed(sess, sess.OpenedMS+1, 1000)
		}
		if n%100 == 0 {
			fmt.Println(n, sess.OpenedMS, s.Stats().Committed, s.Stats().DroppedFull)
			<-tick.C
		}
	}
}

func TestKilledProcessLosesAtMostTheWindow(t *testing.T) {
	for window := crashWindowMin; ; window *= 2 {
		lost := killWriting(t, window)
		if lost == "" {
			return
		}
		if window == crashWindowMax {
			t.Fatalf("with a window of %v %s", window, lost)
		}
		t.Logf("with a window of %v %s: once more with a wider one", window, lost)
	}
}

// killWriting kills a child two times, and says what was lost of what is older than the window.
func killWriting(t *testing.T, window time.Duration) (lost string) {
	dir := t.TempDir()
	for round := uint64(1); round <= 2 && lost == ""; round++ {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"=writing", "DIR="+dir, "WINDOW="+window.String())
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// The kill comes in the middle of writing: after several commits.
		lines := bufio.NewScanner(stdout)
		var said []string
		for len(said) < 120 && lines.Scan() {
			said = append(said, lines.Text())
		}
		killedMS := time.Now().UnixMilli()
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() {
			said = append(said, lines.Text())
		}
		_ = cmd.Wait()
		lost = checkAfterKill(t, dir, window, round, said, killedMS)
	}
	return lost
}

// checkAfterKill opens what a killed child left and compares it with what the child said. It
// returns the first that is lost although it is older than the window.
func checkAfterKill(t *testing.T, dir string, window time.Duration, round uint64, said []string, killedMS int64) (lost string) {
	begin := time.Now()
	s, err := Open(crashConfig(dir, window), "n1", quiet, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("round %d: %d events said, opened again in %v", round, len(said)*100, time.Since(begin))
	defer s.Close()
	if s.Epoch() != 2*round {
		t.Errorf("epoch %d, want %d", s.Epoch(), 2*round)
	}
	info := s.epochs.get(session.Origin{Node: "n1", Epoch: 2*round - 1})
	if info.seenMS < info.startedMS || info.seenMS > killedMS+1000 {
		t.Errorf("last heartbeat %d, started %d, killed %d", info.seenMS, info.startedMS, killedMS)
	}
	checked, kept := 0, 0
	for _, line := range said {
		var hundred, openedMS, committed, dropped int64
		if _, err := fmt.Sscan(line, &hundred, &openedMS, &committed, &dropped); err != nil || dropped > 0 {
			t.Fatalf("child said %q: %v", line, err)
		}
		for n := hundred - 99; n <= hundred; n++ {
			rec, ok, err := s.Device(session.Address{Account: fmt.Sprint("account", n%100), Device: fmt.Sprint("device", n)})
			if err != nil {
				t.Fatal(err)
			}
			ours := ok && strings.HasPrefix(rec.Session, fmt.Sprintf("n1.%d.", 2*round-1))
			if ours {
				kept++
			}
			if ours && (rec.Online() || n%3 == 0 && rec.CloseCode == 1000 && rec.ClosedMS != rec.OpenedMS+1 || n%3 != 0 && rec.CloseCode != 1006) {
				t.Fatalf("device%d: %+v", n, rec)
			}
			if openedMS < killedMS-window.Milliseconds() {
				checked++
				if lost == "" && (!ours || n%3 == 0 && rec.CloseCode != 1000) {
					lost = fmt.Sprintf("device%d was opened %d ms before the kill and is missing or open: %v %+v", n, killedMS-openedMS, ok, rec)
				}
			}
		}
	}
	// What the child knew to be synced must be there, whatever the clock says.
	last := strings.Fields(said[len(said)-1])
	committed, _ := strconv.Atoi(last[2])
	if kept < committed*3/4-1 { // 4 events for 3 devices
		t.Errorf("%d events were synced, only %d records are left", committed, kept)
	}
	if checked < 1000 {
		t.Errorf("only %d records were older than the window: the test says nothing", checked)
	}
	return lost
}

// memory reads one figure of /proc/self/status in bytes.
func memory(field string) int64 {
	data, _ := os.ReadFile("/proc/self/status")
	for _, line := range strings.Split(string(data), "\n") {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10
		}
	}
	return 0
}

func init() { children["rss"] = rssChild }

// BenchmarkRSSPerRecord prints what 16,000 more openings cost in process memory
// after a quiet time, in a process of its own.
func BenchmarkRSSPerRecord(b *testing.B) {
	for range b.N {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"=rss", "DIR="+b.TempDir())
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = io.MultiWriter(&out), os.Stderr
		if err := cmd.Run(); err != nil {
			b.Fatal(err)
		}
		var perRecord, base, warm float64
		if _, err := fmt.Sscan(out.String(), &perRecord, &base, &warm); err != nil {
			b.Fatal(err, out.String())
		}
		b.ReportMetric(perRecord, "B/record")
		b.ReportMetric(base, "B/store")
		b.ReportMetric(warm, "B/record-from-18000-to-50000")
	}
}

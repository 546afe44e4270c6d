package hostinfo

import (
	"os"
	"runtime"
	"testing"
	"time"
)

func TestParseCPU(t *testing.T) {
	for _, c := range []struct {
		name, stat string
		want       time.Duration
		bad        bool
	}{
		{"plain", "7 (cat) S 1 7 7 0 -1 4194304 90 0 0 0 12 30 0 0 20 0 1", 420 * time.Millisecond, false},
		{"parentheses in the name", "7 (a) b (c)) S 1 7 7 0 -1 4194304 90 0 0 0 100 0 0 0 20", time.Second, false},
		{"cut short", "7 (cat) S 1 7", 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseCPU([]byte(c.stat))
			if (err != nil) != c.bad || got != c.want {
				t.Fatalf("%v, %v; want %v", got, err, c.want)
			}
		})
	}
}

func TestParseSlabAndSockstat(t *testing.T) {
	text := "slabinfo - version: 2.1\n# name\nTCP 20 26 2368 13 8 : tunables\nfilp 900 903 192 21 1 : tunables\nkmalloc-64 1 2 64 64 1\n"
	caches := parseSlab(text)
	if caches["TCP"] != 26*2368 || caches["filp"] != 903*192 || len(caches) != 2 {
		t.Fatalf("%v", caches)
	}
	if n := parseTCPMemory("sockets: used 9\nTCP: inuse 5 orphan 0 tw 0 alloc 8 mem 17\nUDP: inuse 1 mem 3\n"); n != 17 {
		t.Fatalf("mem %d", n)
	}
}

func TestThisProcess(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("/proc is Linux")
	}
	before, err := ReadProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	after, err := ReadProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if after.Descriptors != before.Descriptors+1 || after.RSSBytes < 1<<20 || after.AnonBytes > after.RSSBytes {
		t.Fatalf("before %+v, after %+v", before, after)
	}
	if _, err := ReadProcess(1 << 30); err == nil {
		t.Fatal("a process that does not exist was read")
	}
	if l := ReadLimits(); l.Descriptors < 64 || l.Ports() < 1 || l.AvailableBytes == 0 || l.Somaxconn == 0 {
		t.Fatalf("limits %+v", l)
	}
}

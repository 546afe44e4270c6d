package protocol

import (
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/roostpush/roost/session"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).purgeStaleWorkers"), goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).ticktock"))
}

func TestOffers(t *testing.T) {
	for _, tc := range []struct {
		name, list, protocol, token, fault string
		raw                                bool
	}{
		{name: "nothing"},
		{name: "v1", list: "roost.v1", protocol: "roost.v1"},
		{name: "raw", list: "roost.raw", protocol: "roost.raw", raw: true},
		{name: "the first that is spoken", list: "mqtt, roost.raw , roost.v1", protocol: "roost.raw", raw: true},
		{name: "token and v1", list: "roost.token.a.b.c,roost.v1", protocol: "roost.v1", token: "a.b.c"},
		{name: "token alone", list: "roost.token.a.b.c", fault: "offer roost.v1 or roost.raw beside"},
		{name: "two tokens", list: "roost.token.a, roost.token.b, roost.v1", fault: "two roost.token."},
		{name: "foreign", list: "mqtt", fault: "none of the subprotocols"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o, err := readProtocols([]byte(tc.list))
			if tc.fault != "" {
				if err == nil || !strings.Contains(err.Error(), tc.fault) {
					t.Fatalf("%v, want %q", err, tc.fault)
				}
				return
			}
			if err != nil || o.protocol != tc.protocol || string(o.token) != tc.token || (o.speaks == session.Raw) != tc.raw {
				t.Fatalf("%+v %v", o, err)
			}
		})
	}
}

func TestOrigins(t *testing.T) {
	for _, tc := range []struct {
		name         string
		list         []string
		origin, host string
		allowed      bool
	}{
		{"no browser", nil, "", "a.example", true},
		{"same host", nil, "https://a.example:8443", "a.example:8443", true},
		{"same host in capitals", nil, "https://A.example", "a.EXAMPLE", true},
		{"another port", nil, "https://a.example:1", "a.example:2", false},
		{"null", nil, "null", "a.example", false},
		{"any", []string{"*"}, "https://b.example", "a.example", true},
		{"listed", []string{"https://b.example"}, "https://b.example", "a.example", true},
		{"another scheme", []string{"https://b.example"}, "http://b.example", "a.example", false},
		{"same host, but a list", []string{"https://b.example"}, "https://a.example", "a.example", false},
		{"subdomain", []string{"https://*.b.example"}, "https://x.y.b.example", "a.example", true},
		{"the domain itself", []string{"https://*.b.example"}, "https://b.example", "a.example", false},
		{"a path that looks like it", []string{"https://*.b.example"}, "https://evil/.b.example", "a.example", false},
		{"a user that looks like it", []string{"https://*.b.example"}, "https://evil@x.b.example", "a.example", false},
		{"overlapping ends", []string{"https://a.*.a.example"}, "https://a.a.example", "x", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newOriginList(tc.list)
			if got := l.allow([]byte(tc.origin), []byte(tc.host)); got != tc.allowed {
				t.Fatalf("allowed %v", got)
			}
		})
	}
}

// TestGCRAAgainstTokenBucket compares the limiter with the bucket it is equivalent to.
func TestGCRAAgainstTokenBucket(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate, burst := rapid.IntRange(1, 1000).Draw(t, "rate"), rapid.IntRange(1, 50).Draw(t, "burst")
		g := newGCRA(rate, burst)
		emission := int64(1e9) / int64(rate)
		now, level := int64(1e18), int64(0) // level: nanoseconds of debt in the bucket
		for range rapid.IntRange(1, 200).Draw(t, "requests") {
			step := rapid.Int64Range(0, 3*emission).Draw(t, "step")
			now += step
			level = max(0, level-step)
			want := level <= emission*int64(burst-1)
			if want {
				level += emission
			}
			if got := g.take(now); got != want {
				t.Fatalf("taken %v, the bucket says %v", got, want)
			}
		}
	})
}

func TestGCRAIsSharedFairly(t *testing.T) {
	g := newGCRA(1000, 100)
	var taken, wg = make([]int, 4), sync.WaitGroup{}
	for i := range taken {
		wg.Go(func() {
			for range 1000 {
				if g.take(1e18) {
					taken[i]++
				}
			}
		})
	}
	wg.Wait()
	if sum := taken[0] + taken[1] + taken[2] + taken[3]; sum != 100 {
		t.Fatalf("%d taken at one moment, the burst is 100", sum)
	}
}

func TestPoolIsBoundedAndEnds(t *testing.T) {
	p := newPool(1, 2)
	release, started := make(chan struct{}), make(chan struct{})
	ran := make(chan int, 10)
	p.do(func() { close(started); <-release; ran <- 0 })
	<-started
	for i := range 2 {
		if !p.do(func() { ran <- i + 1 }) {
			t.Fatal("a place in the queue was refused")
		}
	}
	if p.do(func() { ran <- 9 }) {
		t.Fatal("a job beyond the queue was taken")
	}
	close(release)
	p.close()
	p.close()
	if len(ran) != 3 {
		t.Fatalf("%d jobs ran, 3 were taken", len(ran))
	}
	if p.do(func() {}) {
		t.Fatal("a job was taken after the end")
	}
}

func TestQueries(t *testing.T) {
	q, err := readQuery([]byte("x=1&account=a%20b&device=d+e&token=t.o.k&account"))
	if err != nil || q.account != "" || q.device != "d e" || string(q.token) != "t.o.k" {
		t.Fatalf("%+v %v", q, err)
	}
	if _, err := readQuery([]byte("device=%zz")); err == nil || !strings.Contains(err.Error(), "device in the query") {
		t.Fatal(err)
	}
}

//go:build linux

package experiment

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/roostpush/roost/bench/device"
)

// TestPromises kills a real node a few times. What the verdict is made of is seen in
// TestPledgeVerdict.
func TestPromises(t *testing.T) {
	p := DefaultPledge(buildRoost(t))
	p.Pushes, p.Devices, p.Kills, p.Absent, p.Short, p.Window = 500, 20, 2, 2, time.Second, 20
	p.LifeMin, p.LifeMax, p.Unacked = 100*time.Millisecond, 300*time.Millisecond, 10
	var said []string
	r, err := Promises(context.Background(), p, func(line string) { said = append(said, line) })
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	r.WriteText(&text)
	if !r.Held() || r.Accepted < p.Pushes || r.Kills < p.Kills || r.Expired == 0 {
		t.Errorf("%s%+v", text.String(), r)
	}
	if len(said) < p.Kills || !strings.Contains(text.String(), "ok") {
		t.Errorf("said %q\n%s", said, text.String())
	}
}

func TestPledgeVerdict(t *testing.T) {
	good := func() PledgeResult {
		return PledgeResult{Accepted: 10, Kills: 2, Intended: 2, Delivered: 9, Absent: 1, Expired: 1, Twice: 3, AfterAck: 1, Unanswered: 5}
	}
	for name, spoil := range map[string]func(*PledgeResult){
		"nothing accepted":      func(r *PledgeResult) { *r = PledgeResult{Kills: 2, Intended: 2} },
		"not killed enough":     func(r *PledgeResult) { r.Kills = 1 },
		"lost":                  func(r *PledgeResult) { r.Lost, r.Delivered = []string{"7"}, 8 },
		"one not accounted for": func(r *PledgeResult) { r.Delivered = 8 },
		"not expired":           func(r *PledgeResult) { r.Expired = 0 },
		"two ids":               func(r *PledgeResult) { r.OtherID = []string{"7"} },
		"wrong device":          func(r *PledgeResult) { r.Wrong = []string{"7"} },
	} {
		r := good()
		if !r.Held() {
			t.Fatalf("%+v", r)
		}
		if spoil(&r); r.Held() {
			t.Errorf("%s: held", name)
		}
	}
}

func TestMailbox(t *testing.T) {
	h := DefaultHoard(buildRoost(t))
	h.Devices, h.Each, h.Early, h.Takers, h.ReadyMax, h.DrainMax = 50, 20, 2, 5, time.Minute, time.Minute
	r, err := Mailbox(context.Background(), h, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if r.WriteText(&text); !r.Held() || r.Messages != 1000 || len(r.Drains) != h.Takers || len(r.Early) != h.Early || r.Indexed < r.Ready || r.RSSBytes == 0 || r.Ready == 0 {
		t.Errorf("%s%+v", text.String(), r)
	}
	r.Refused = 1
	if r.Held() {
		t.Error("held although a push was refused")
	}
}

// TestPledgeSettlesWhileDevicesGoOn counts what arrived while something still comes: what a
// killed node had taken without an answer.
func TestPledgeSettlesWhileDevicesGoOn(t *testing.T) {
	p := &pledging{ids: map[int]string{1: "a", 2: "b", 3: "c"}, arrived: map[int]string{1: "a"}, acked: map[int]bool{}, absent: map[int]bool{2: true}}
	var coming sync.WaitGroup
	coming.Go(func() {
		for n := 100; n < 1100; n++ {
			p.took(device.Frame{ID: fmt.Sprint(n), Payload: fmt.Appendf(nil, `{"number":%d,"for":"d0"}`, n)}, "d0")
		}
	})
	for range 100 {
		p.mu.Lock()
		p.result = PledgeResult{}
		p.mu.Unlock()
		absent := p.settle()
		if p.result.Delivered != 1 || p.result.Absent != 1 || len(absent) != 1 || absent[2] != "b" || len(p.result.Lost) != 1 || p.result.Lost[0] != "3 (c)" {
			t.Fatalf("%+v, absent %v", p.result, absent)
		}
		if p.missing() != 1 {
			t.Fatalf("%d are missing", p.missing())
		}
	}
	coming.Wait()
}

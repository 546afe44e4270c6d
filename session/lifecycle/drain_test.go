package lifecycle

import (
	"strings"
	"testing"
	"time"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
)

// sockets notes what each connection is sent.
type sockets struct {
	told   map[netpoll.ConnID]string
	closed map[netpoll.ConnID]string
	events int
}

func (s *sockets) Send(id netpoll.ConnID, op netpoll.Op, payload []byte, _ netpoll.Receipt, _ uint64) {
	if data, ok := strings.CutPrefix(string(payload), "event: goaway\ndata: "); ok && op == netpoll.OpEvent {
		s.events++
		payload = []byte(data)
	}
	s.told[id] += string(payload)
}

func (s *sockets) Close(id netpoll.ConnID, code uint16, reason string) {
	if code == netpoll.CloseGoingAway {
		s.closed[id] += reason
	}
}

func TestDrainIsPaced(t *testing.T) {
	const n = 1000
	reg := session.NewRegistry()
	for i := range n {
		s := session.New("account", "device-"+strings.Repeat("x", i%5)+string(rune('a'+i%26))+time.Duration(i).String())
		s.Conn = uint64(i + 1)
		switch i % 10 {
		case 0:
			s.Permissions = session.Raw // knows no goaway
		case 1:
			s.Permissions = session.SSE
		}
		reg.Open(s)
	}
	s := &sockets{told: map[netpoll.ConnID]string{}, closed: map[netpoll.ConnID]string{}}
	cfg := DrainConfig{Over: 10 * time.Second, Grace: 2 * time.Second, ReconnectMin: time.Second, ReconnectMax: 3 * time.Second}
	d := NewDrain(cfg, reg, s)
	for _, tc := range []struct {
		at           time.Duration
		told, closed int
	}{{0, 0, 0}, {time.Second, 100, 0}, {5 * time.Second, 500, 300}, {10 * time.Second, 1000, 800}, {11 * time.Second, 1000, 900}} {
		if d.Step(tc.at) {
			t.Fatalf("done at %v", tc.at)
		}
		if d.told != tc.told || len(s.closed) != tc.closed {
			t.Fatalf("at %v: %d told, %d closed, want %d and %d", tc.at, d.told, len(s.closed), tc.told, tc.closed)
		}
	}
	if !d.Step(12 * time.Second) {
		t.Fatal("not done at the end")
	}
	if len(s.told) != n*9/10 || len(s.closed) != n || s.events != n/10 {
		t.Fatalf("%d told, %d of them by an event, %d closed", len(s.told), s.events, len(s.closed))
	}
	waits := map[string]bool{}
	for id, reason := range s.closed {
		waits[reason] = true
		if told := s.told[id]; told != "" && (!strings.Contains(told, `"reason":"drain"`) || !strings.Contains(told, strings.Trim(reason, "{}"))) {
			t.Fatalf("told %s, closed with %s", told, reason)
		}
	}
	if len(waits) < 200 {
		t.Fatalf("only %d different waits for %d devices", len(waits), n)
	}
}

func TestDrainOfNobodyIsDone(t *testing.T) {
	if !NewDrain(DefaultDrain(), session.NewRegistry(), nil).Step(0) {
		t.Fatal("nobody is there, and yet it waits")
	}
}

func TestDrainConfigNamesWhatIsWrong(t *testing.T) {
	err := DrainConfig{ReconnectMin: time.Second}.Validate()
	for _, want := range []string{"grace is 0s", "reconnect_max is 0s"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	if err := DefaultDrain().Validate(); err != nil {
		t.Error(err)
	}
}

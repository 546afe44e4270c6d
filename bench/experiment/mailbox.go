package experiment

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/roostpush/roost/bench/report"
)

// Hoard is an experiment: many messages wait for devices that are away, the node is
// killed and started again, and some of the devices come and take theirs.
type Hoard struct {
	Program  string
	Devices  int
	Each     int           // messages that wait for each
	Payload  int           // bytes
	Takers   int           // devices that come, one after the other
	ReadyMax time.Duration // restart to ready
	DrainMax time.Duration // from a device's hello to its last message; the median of the takers
	Extra    []string      // more arguments of roost serve
}

// DefaultHoard returns the experiment that the budgets are written for: 1,000,000 messages.
func DefaultHoard(program string) Hoard {
	return Hoard{Program: program, Devices: 10_000, Each: 100, Payload: 128, Takers: 101, ReadyMax: time.Second, DrainMax: 10 * time.Millisecond}
}

// HoardResult is what it took.
type HoardResult struct {
	Messages  int              `json:"messages"` // accepted
	Refused   int              `json:"refused"`
	Why       string           `json:"why,omitempty"`
	PerSecond float64          `json:"per_second"` // accepted while it was filled
	Ready     time.Duration    `json:"ready_ns"`   // restart to /readyz 200
	Drains    []time.Duration  `json:"drains_ns"`  // each taker's, sorted
	Wrong     []string         `json:"wrong"`      // takers that did not get what they were to get
	RSSBytes  int64            `json:"rss_bytes"`  // of the process after the restart
	Limits    [2]time.Duration `json:"limits_ns"`  // ready, drain
}

// Drain is the median.
func (r *HoardResult) Drain() time.Duration {
	if len(r.Drains) == 0 {
		return 0
	}
	return r.Drains[len(r.Drains)/2]
}

// Whole reports whether everything was kept and taken, whatever the time.
func (r *HoardResult) Whole() bool {
	return r.Messages > 0 && r.Refused == 0 && len(r.Wrong) == 0 && len(r.Drains) > 0
}

// Held reports whether it was whole and within its limits.
func (r *HoardResult) Held() bool {
	return r.Whole() && r.Ready <= r.Limits[0] && r.Drain() <= r.Limits[1]
}

// Mailbox fills, kills, starts again and takes. say hears how it goes, a line at a
// time.
func Mailbox(ctx context.Context, h Hoard, say func(string)) (*HoardResult, error) {
	data, err := os.MkdirTemp("", "roost-mailbox-")
	if err != nil {
		return nil, fmt.Errorf("experiment: %w", err)
	}
	defer os.RemoveAll(data)
	node, err := StartNode(ctx, h.Program, data, h.Extra...)
	if err != nil {
		return nil, err
	}
	r := &HoardResult{Limits: [2]time.Duration{h.ReadyMax, h.DrainMax}}
	say(fmt.Sprintf("mailbox: %d messages for each of %d devices", h.Each, h.Devices))
	err = h.fill(ctx, node, r)
	node.Kill()
	if err != nil {
		return nil, err
	}
	say(fmt.Sprintf("mailbox: %d accepted; killed, starting again", r.Messages))
	again, err := StartNode(ctx, h.Program, data, h.Extra...)
	if err != nil {
		return nil, fmt.Errorf("experiment: restart after the kill: %w", err)
	}
	defer again.Kill()
	r.Ready = again.Ready
	for i := range h.Takers {
		device := i * h.Devices / h.Takers
		took, err := h.take(ctx, again, device)
		if err != nil {
			r.Wrong = append(r.Wrong, fmt.Sprintf("d%d: %v", device, err))
			continue
		}
		r.Drains = append(r.Drains, took)
	}
	slices.Sort(r.Drains)
	resident, err := readResident(again.PID)
	if err != nil {
		return nil, err
	}
	r.RSSBytes = resident.RSSBytes
	return r, ctx.Err()
}

// hoardWindow is how many pushes are without an answer at one time.
const hoardWindow = 5_000

// hoarded is what each push carries.
type hoarded struct {
	Number int    `json:"number"` // of its device's, from 0
	Filler string `json:"filler"`
}

func (h Hoard) fill(ctx context.Context, node *Node, r *HoardResult) error {
	room := make(chan struct{}, hoardWindow)
	var mu sync.Mutex
	stream, err := node.openKept(ctx, func(a keptAnswer) {
		mu.Lock()
		if a.Status == 202 {
			r.Messages++
		} else if r.Refused++; a.Error != nil {
			r.Why = a.Error.Code + ": " + a.Error.Detail
		}
		mu.Unlock()
		<-room
	})
	if err != nil {
		return err
	}
	filler := strings.Repeat("x", max(h.Payload-len(`{"number":12,"filler":""}`), 0))
	begun := time.Now()
	for number := range h.Each {
		payload, err := json.Marshal(hoarded{number, filler})
		if err != nil {
			panic(err)
		}
		for device := range h.Devices {
			select {
			case room <- struct{}{}:
			default:
				if err := stream.flush(); err != nil {
					return fmt.Errorf("experiment: fill: %w", err)
				}
				select {
				case room <- struct{}{}:
				case err := <-stream.done:
					return fmt.Errorf("experiment: fill: the stream ended: %w", err)
				}
			}
			name := fmt.Sprintf("d%d", device)
			if err := stream.write(&keptLine{To: keptTo{name, name}, Payload: payload, TTL: time.Hour.Milliseconds(), Wait: "none"}); err != nil {
				return fmt.Errorf("experiment: fill: %w", err)
			}
		}
	}
	if err := stream.close(time.Minute); err != nil {
		return fmt.Errorf("experiment: fill: %w", err)
	}
	r.PerSecond = float64(r.Messages) / time.Since(begun).Seconds()
	return nil
}

// takeMax bounds the time in which a device must have all of its messages.
const takeMax = 20 * time.Second

// take connects a device and says how long its messages took to come, all of them and in
// order; it acknowledges each.
func (h Hoard) take(ctx context.Context, node *Node, device int) (time.Duration, error) {
	name := fmt.Sprintf("d%d", device)
	d, err := dialKept(ctx, node.Public, name, name)
	if err != nil {
		return 0, err
	}
	defer d.conn.Close()
	if err := d.conn.SetReadDeadline(time.Now().Add(takeMax)); err != nil {
		return 0, err
	}
	hello, err := d.next()
	begun := time.Now()
	switch {
	case err != nil:
		return 0, err
	case hello.Type != "hello":
		return 0, fmt.Errorf("the first frame is %s", hello.Type)
	case hello.Missed != h.Each:
		return 0, fmt.Errorf("hello says that %d messages are about to follow, not %d", hello.Missed, h.Each)
	}
	for number := range h.Each {
		f, err := d.next()
		if err != nil {
			return 0, fmt.Errorf("after %d messages: %w", number, err)
		}
		var got hoarded
		if err := json.Unmarshal(f.Payload, &got); err != nil || f.Type != "message" || got.Number != number {
			return 0, fmt.Errorf("message %d was to follow, not %s %.80s", number, f.Type, f.Payload)
		}
		if err := d.ack(f.ID); err != nil {
			return 0, err
		}
	}
	return time.Since(begun), nil
}

// WriteText writes the figures as people read them.
func (r *HoardResult) WriteText(w io.Writer) {
	fmt.Fprintf(w, "\n  %d messages wait, accepted at %.0f a second, each on disk before its answer; %d refused%s\n", r.Messages, r.PerSecond, r.Refused, because(r.Why))
	fmt.Fprintf(w, "  restart to ready      %s, at most %s; then %.0f MiB resident\n", report.Duration(r.Ready), r.Limits[0], float64(r.RSSBytes)/(1<<20))
	if n := len(r.Drains); n > 0 {
		fmt.Fprintf(w, "  a device's messages   median %s, slowest %s after its hello, of %d devices; the median at most %s\n",
			report.Duration(r.Drain()), report.Duration(r.Drains[n-1]), n, r.Limits[1])
	}
	if len(r.Wrong) > 0 {
		fmt.Fprintf(w, "  WRONG                 %d%s\n", len(r.Wrong), some(r.Wrong))
	}
	verdict := "ok"
	if !r.Held() {
		verdict = "FAILED"
	}
	fmt.Fprintf(w, "  %s\n", verdict)
}

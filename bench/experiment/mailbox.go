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

	"github.com/roostpush/roost/bench/device"
	"github.com/roostpush/roost/bench/hostinfo"
	"github.com/roostpush/roost/bench/report"
)

// Hoard is an experiment: many messages wait for devices that are away, the node is
// killed and started again, and some of the devices come and take theirs.
type Hoard struct {
	Program  string
	Devices  int
	Each     int           // messages that wait for each
	Payload  int           // bytes
	Early    int           // devices that come at once after the restart, one after the other
	Takers   int           // devices that come once the node has its index of what waits
	ReadyMax time.Duration // restart to ready
	DrainMax time.Duration // from a device's hello to its last message; the median of the takers
	Extra    []string      // more arguments of roost serve
	Core     int           // of the node; hostinfo.Unpinned: any
}

// DefaultHoard returns the experiment that the budgets are written for: 1,000,000 messages.
func DefaultHoard(program string) Hoard {
	return Hoard{Program: program, Devices: 10_000, Each: 100, Payload: 128, Early: 10, Takers: 101, ReadyMax: time.Second, DrainMax: 10 * time.Millisecond, Core: hostinfo.Unpinned}
}

// HoardResult is what it took.
type HoardResult struct {
	Messages  int              `json:"messages"` // accepted
	Refused   int              `json:"refused"`
	Why       string           `json:"why,omitempty"`
	PerSecond float64          `json:"per_second"` // accepted while it was filled
	Ready     time.Duration    `json:"ready_ns"`   // restart to /readyz 200
	Indexed   time.Duration    `json:"indexed_ns"` // restart to the index of what waits, which is built behind the start
	Early     []time.Duration  `json:"early_ns"`   // of those that came at once, sorted
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
	node, err := StartNodeOn(ctx, h.Core, h.Program, data, h.Extra...)
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
	again, err := StartNodeOn(ctx, h.Core, h.Program, data, h.Extra...)
	if err != nil {
		return nil, fmt.Errorf("experiment: restart after the kill: %w", err)
	}
	defer again.Kill()
	begun := time.Now()
	r.Ready = again.Ready
	r.Early = h.takeAll(ctx, again, 0, h.Early, h.Early, r)
	if err := awaitIndex(ctx, again); err != nil {
		return nil, err
	}
	r.Indexed = r.Ready + time.Since(begun)
	r.Drains = h.takeAll(ctx, again, h.Early, h.Devices, h.Takers, r)
	resident, err := readResident(again.PID)
	if err != nil {
		return nil, err
	}
	r.RSSBytes = resident.RSSBytes
	return r, ctx.Err()
}

// indexWait bounds the wait for the index of what waits, indexPoll is between two looks.
const (
	indexWait = 2 * time.Minute
	indexPoll = 50 * time.Millisecond
)

// awaitIndex waits until the node has looked through its store.
func awaitIndex(ctx context.Context, node *Node) error {
	ctx, cancel := context.WithTimeout(ctx, indexWait)
	defer cancel()
	for {
		done, err := node.Metric(ctx, "roost_mailbox_indexed")
		if err != nil {
			return err
		}
		if done == 1 {
			return nil
		}
		if err := Pause(ctx, indexPoll); err != nil {
			return fmt.Errorf("experiment: the node has no index of what waits after %s: %w", indexWait, err)
		}
	}
}

// takeAll lets count devices come, of those numbered from from up to and without to, and
// returns how long each took, sorted.
func (h Hoard) takeAll(ctx context.Context, node *Node, from, to, count int, r *HoardResult) (all []time.Duration) {
	for i := range count {
		taker := from + i*(to-from)/count
		took, err := h.take(ctx, node, taker)
		if err != nil {
			r.Wrong = append(r.Wrong, fmt.Sprintf("d%d: %v", taker, err))
			continue
		}
		all = append(all, took)
	}
	slices.Sort(all)
	return all
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
func (h Hoard) take(ctx context.Context, node *Node, taker int) (time.Duration, error) {
	name := fmt.Sprintf("d%d", taker)
	d, err := device.Open(ctx, node.Public, name, name, keptBufferBytes)
	begun := time.Now()
	if err != nil {
		return 0, err
	}
	defer d.Close()
	if err := d.ReadUntil(begun.Add(takeMax)); err != nil {
		return 0, err
	}
	if d.Hello.Missed != h.Each {
		return 0, fmt.Errorf("hello says that %d messages are about to follow, not %d", d.Hello.Missed, h.Each)
	}
	for number := range h.Each {
		f, err := d.Next()
		if err != nil {
			return 0, fmt.Errorf("after %d messages: %w", number, err)
		}
		var got hoarded
		if err := json.Unmarshal(f.Payload, &got); err != nil || f.Type != "message" || got.Number != number {
			return 0, fmt.Errorf("message %d was to follow, not %s %.80s", number, f.Type, f.Payload)
		}
		if err := d.Ack(f.ID); err != nil {
			return 0, err
		}
	}
	return time.Since(begun), nil
}

// WriteText writes the figures as people read them.
func (r *HoardResult) WriteText(w io.Writer) {
	fmt.Fprintf(w, "\n  %d messages wait, accepted at %.0f a second, each on disk before its answer; %d refused%s\n", r.Messages, r.PerSecond, r.Refused, because(r.Why))
	fmt.Fprintf(w, "  restart to ready      %s, at most %s; then %.0f MiB resident\n", report.Duration(r.Ready), r.Limits[0], float64(r.RSSBytes)/(1<<20))
	if n := len(r.Early); n > 0 {
		fmt.Fprintf(w, "  index of what waits   %s after the restart; until then a device's messages took %s, at most %s, of %d devices\n",
			report.Duration(r.Indexed), report.Duration(r.Early[n/2]), report.Duration(r.Early[n-1]), n)
	}
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

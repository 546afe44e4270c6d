package budget

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/roostpush/roost/bench"
	"github.com/roostpush/roost/bench/experiment"
	"github.com/roostpush/roost/bench/generator"
	"github.com/roostpush/roost/bench/report"
	"github.com/roostpush/roost/bench/tally"
)

const whatUnicast = "pushes to single devices while messages go to all"

// unicastMax is what a reconnect storm may do to the messages of others, too: the issue
// says that a broadcast is paced so that it does not starve them, and names no figure.
const unicastMax = 20 * time.Millisecond

type unicastSizes struct {
	Devices      int64
	Payload      int
	PerSecond    float64       // pushes
	Duration     time.Duration // of pushes alone, and of pushes beside broadcasts
	BroadcastsPS float64
}

// Two broadcasts a second to 10,000 devices keep the server busy for a quarter of the time.
func defaultUnicast() unicastSizes {
	return unicastSizes{Devices: 10_000, Payload: 128, PerSecond: 500, Duration: 5 * time.Second, BroadcastsPS: 2}
}

// runUnicast pushes to single devices, first alone and then while everybody is sent
// messages, too.
func runUnicast(ctx context.Context, b *board) (rows []Row, err error) {
	z := b.cfg.Unicast
	var run *report.Result
	var beside *broadcasts
	err = b.withNode(ctx, nil, func(node *experiment.Node) error {
		push := bench.MessagePhases(generator.Push, z.Devices, bench.MessageLoad{
			PerSecond: z.PerSecond, PayloadBytes: z.Payload, Duration: z.Duration, Timeout: 5 * time.Second,
		})
		open, load, end := push[0], push[1], push[2]
		s, err := b.scenario("unicast", node, []generator.Phase{open, load, load, end})
		if err != nil {
			return err
		}
		pushes := 0
		run, err = b.watched(ctx, s, func(p *report.Phase) {
			if p.Kind != generator.Push {
				return
			}
			if pushes++; pushes == 1 {
				beside = broadcast(ctx, node, z)
			} else {
				beside.end()
			}
		})
		beside.end() // when the run broke off between
		return err
	})
	if err != nil {
		return nil, err
	}
	b.show("pushes, then pushes beside messages to all", run)
	row := unicastRow(z, run, beside)
	if err := disturbed([]*report.Result{run}); err != nil {
		return []Row{row}, err
	}
	return []Row{row}, b.keep("budget-unicast", run)
}

func unicastRow(z unicastSizes, run *report.Result, beside *broadcasts) Row {
	var phases []report.Phase
	for _, p := range run.Phases {
		if p.Kind == generator.Push {
			phases = append(phases, p)
		}
	}
	row := Row{What: fmt.Sprintf("%s, %d devices", whatUnicast, z.Devices), Budget: fmt.Sprintf("p99 < %d ms, the server's share", unicastMax.Milliseconds()), Limit: float64(unicastMax) - 1, timed: true}
	if len(phases) != 2 {
		row.Verdict, row.Figure = Broken, "not measured"
		return row
	}
	alone, along := phases[0].Tally.Timing(tally.PushArrived), phases[1].Tally.Timing(tally.PushArrived)
	row.Value = float64(along.Quantile(99))
	row.Figure = fmt.Sprintf("p99 %s, p50 %s from the API to the device's kernel at %.0f a second, beside %d messages to all, %.0f a second, that came to %d devices",
		report.Duration(along.Quantile(99)), report.Duration(along.Quantile(50)), z.PerSecond, beside.sent, z.BroadcastsPS, beside.written)
	row.Floor = fmt.Sprintf("the same pushes alone: p99 %s, p50 %s", report.Duration(alone.Quantile(99)), report.Duration(alone.Quantile(50)))
	switch w := wrong(run); {
	case w != "":
		row.Verdict, row.Note = Broken, w
	case beside.wrong != nil:
		row.Verdict, row.Note = Broken, "a message to all: "+beside.wrong.Error()
	case beside.written != int64(beside.sent)*z.Devices:
		row.Verdict, row.Note = Broken, fmt.Sprintf("%d messages to all were written %d times: to %d devices each it would be %d", beside.sent, beside.written, z.Devices, int64(beside.sent)*z.Devices)
	case row.Value == 0:
		row.Verdict, row.Note = Broken, "this kernel does not say when a message arrived (SO_TIMESTAMPNS)"
	}
	return row
}

// broadcasts are messages to all that are sent by a goroutine until its end.
type broadcasts struct {
	stop context.CancelFunc
	done chan struct{}

	// Of the goroutine until done is closed.
	sent    int
	written int64
	wrong   error
}

// broadcast begins to send, one after the other: each begins at its time, or when the one
// before has been written.
func broadcast(ctx context.Context, node *experiment.Node, z unicastSizes) *broadcasts {
	ctx, cancel := context.WithCancel(ctx)
	s := &broadcasts{stop: cancel, done: make(chan struct{})}
	body := fmt.Appendf(nil, `{"to":{"all":true},"payload":%q}`, strings.Repeat("b", z.Payload))
	url := "http://" + node.Internal + "/v1/messages"
	go func() {
		defer close(s.done)
		client := &http.Client{Transport: &http.Transport{}}
		defer client.CloseIdleConnections()
		ticks := time.NewTicker(time.Duration(float64(time.Second) / z.BroadcastsPS))
		defer ticks.Stop()
		for s.wrong == nil {
			// What has begun is brought to its end: its devices are counted.
			n, err := post(context.WithoutCancel(ctx), client, url, body)
			s.wrong = err
			s.sent++
			s.written += n
			select {
			case <-ctx.Done():
				return
			case <-ticks.C:
			}
		}
	}()
	return s
}

// end waits for the last one. It may be called again, and of nothing that has begun.
func (s *broadcasts) end() {
	if s == nil {
		return
	}
	s.stop()
	<-s.done
}

// post sends one message to all and returns to how many devices it was written.
func post(ctx context.Context, client *http.Client, url string, body []byte) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	var answer struct {
		Counts map[string]int64 `json:"counts"`
		Detail string           `json:"detail"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return 0, fmt.Errorf("status %d: %w", response.StatusCode, err)
	}
	if response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("status %d: %s", response.StatusCode, answer.Detail)
	}
	return answer.Counts["written"], nil
}

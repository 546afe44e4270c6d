package experiment

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// inspectors is how many requests ask at once; the node answers from memory, and two
// cores are enough for these.
const inspectors = 8

// finding is what the restarted node says about one device.
type finding struct {
	index   int64
	known   bool
	open    bool // it claims that the device is connected
	problem error
}

// inspect asks the restarted node for every device that was confirmed connected.
func inspect(ctx context.Context, node *Node, openedNS map[int64]int64, killedNS int64, r *CrashResult) error {
	questions := make(chan int64)
	findings := make(chan finding)
	var asking sync.WaitGroup
	for range inspectors {
		asking.Go(func() {
			for index := range questions {
				findings <- ask(ctx, node, index)
			}
		})
	}
	go func() {
		for index, at := range openedNS {
			if at <= killedNS { // a 101 read after the kill was on its way before
				questions <- index
			}
		}
		close(questions)
		asking.Wait()
		close(findings)
	}()
	var problem error
	for f := range findings {
		if f.problem != nil {
			problem = f.problem
			continue
		}
		r.count(f, time.Duration(killedNS-openedNS[f.index]))
	}
	return problem
}

// count files one finding; age is how long before the kill the device was confirmed.
func (r *CrashResult) count(f finding, age time.Duration) {
	name := fmt.Sprintf("acc-%d/dev-%d", f.index, f.index)
	r.Confirmed++
	if age > r.LossWindow {
		r.Settled++
	}
	switch {
	case f.open:
		r.StillOpen = append(r.StillOpen, name)
		r.Recorded++
	case f.known:
		r.Recorded++
	default:
		r.OldestLost = max(r.OldestLost, age)
		if age > r.LossWindow {
			r.LostOld = append(r.LostOld, name)
		} else {
			r.LostRecent++
		}
	}
}

// ask reads GET /v1/accounts/{a}/devices (PROTOCOL.md section 2). A record without a
// time of closing claims an open session just as "online" does.
func ask(ctx context.Context, node *Node, index int64) finding {
	f := finding{index: index}
	status, body, err := node.Get(ctx, fmt.Sprintf("/v1/accounts/acc-%d/devices", index))
	switch {
	case err != nil:
		f.problem = fmt.Errorf("experiment: ask for device %d: %w", index, err)
		return f
	case status == http.StatusNotFound:
		return f
	case status != http.StatusOK:
		f.problem = fmt.Errorf("experiment: ask for device %d: HTTP %d: %.200s", index, status, body)
		return f
	}
	var answer struct {
		Devices []struct {
			Device   string
			Online   bool
			ClosedMS int64 `json:"closed_ms"`
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		f.problem = fmt.Errorf("experiment: device list %d: %w", index, err)
		return f
	}
	for _, d := range answer.Devices {
		if d.Device == fmt.Sprintf("dev-%d", index) {
			f.known, f.open = true, d.Online || d.ClosedMS == 0
		}
	}
	return f
}

package disruption

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// watched are the nodes as a load balancer sees them: it asks each for /readyz and
// sends no device to one that says no, or whose process is gone. One that is only slow to
// answer is believed to be what it was.
type watched struct {
	nodes  []Node
	client *http.Client
	state  []atomic.Int32 // by node
	world  *atomic.Pointer[World]
}

// What a node said of itself.
const (
	isSilent   = iota // nothing: there is no process
	isSlow            // nothing yet
	isDraining        // it is leaving
	isUnready         // something else keeps it from being ready
	isReady
)

// Times of looking.
const (
	watchEvery = 100 * time.Millisecond
	watchWait  = time.Second
)

func newWatched(nodes []Node, world *atomic.Pointer[World]) *watched {
	return &watched{
		nodes: nodes, world: world, state: make([]atomic.Int32, len(nodes)),
		client: &http.Client{Timeout: watchWait, Transport: &http.Transport{MaxIdleConnsPerHost: 1}},
	}
}

// run looks at all nodes until ctx ends.
func (w *watched) run(ctx context.Context) {
	defer w.client.CloseIdleConnections()
	for ctx.Err() == nil {
		w.look(ctx)
		pause(ctx, watchEvery)
	}
}

func (w *watched) look(ctx context.Context) {
	var all sync.WaitGroup
	for i, n := range w.nodes {
		all.Go(func() {
			if s := w.ask(ctx, n); s != isSlow {
				w.state[i].Store(s)
			}
		})
	}
	all.Wait()
}

func (w *watched) ask(ctx context.Context, n Node) int32 {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.Internal+"/readyz", nil)
	if err != nil {
		return isSilent
	}
	answer, err := w.client.Do(request)
	var slow net.Error
	switch {
	case errors.As(err, &slow) && slow.Timeout():
		return isSlow
	case err != nil:
		return isSilent
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, outcomeMax))
	switch {
	case err != nil:
		return isSlow
	case answer.StatusCode == http.StatusOK:
		return isReady
	case strings.Contains(string(body), `"draining"`):
		return isDraining
	}
	return isUnready
}

// forDevice returns the number of a random node that takes devices. In a split the small
// side does too, though it says that it is not ready: how devices choose is not for it
// to say.
func (w *watched) forDevice() int {
	if fit := w.fit(false); len(fit) > 0 {
		return fit[rand.N(len(fit))]
	}
	return rand.N(len(w.nodes))
}

// forPush returns the number of a random node where a push may enter; false: there is
// none. Services often reach a node without a load balancer: they go on pushing to one that
// leaves until it takes no more.
func (w *watched) forPush() (int, bool) {
	fit := w.fit(true)
	if len(fit) == 0 {
		return 0, false
	}
	return fit[rand.N(len(fit))], true
}

func (w *watched) fit(draining bool) (fit []int) {
	split := w.world.Load().Split
	for i := range w.nodes {
		if s := w.state[i].Load(); s == isReady || s == isUnready && split || s == isDraining && draining {
			fit = append(fit, i)
		}
	}
	return fit
}

package generator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/roostpush/roost/bench/hostinfo"
)

// Supported reports whether this system can generate load.
const Supported = true

// newsBacklog is how many reports may wait for the parent; a loop that finds it full
// puts off its next tick.
const newsBacklog = 64

// Run is a worker's life: it reads a Plan and then Orders from orders, writes News to
// news, and returns after the result or when orders ends, which is how a parent's
// death is noticed. onOpened, if not nil, is called on the loops for each upgrade.
func Run(_ context.Context, orders io.Reader, news io.Writer, onOpened func(index, atNS int64)) error {
	in := json.NewDecoder(orders)
	out := json.NewEncoder(news)
	w := worker{onOpened: onOpened, news: make(chan News, newsBacklog)}
	if err := in.Decode(&w.plan); err != nil {
		return fmt.Errorf("generator: read the plan: %w", err)
	}
	// On a core of its own the process has one of Go's processors, and whoever packs a report
	// keeps it for up to 10 ms, in which nothing is sent. With one more they are the kernel's
	// to share out, which lets a loop that wakes go first.
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), w.plan.Loops+1))
	if err := w.start(); err != nil {
		return errors.Join(err, out.Encode(News{Fatal: err.Error()}))
	}
	written := make(chan error, 1)
	go func() { written <- writeNews(out, w.news) }()
	w.news <- News{Ready: true}
	readErr := w.obey(in)
	runErr := w.wait()
	if runErr != nil {
		w.news <- News{Fatal: runErr.Error()}
	} else {
		w.news <- News{Result: &Result{RSSBytes: peakRSS()}}
	}
	close(w.news)
	return errors.Join(readErr, runErr, <-written)
}

// writeNews writes until the channel is closed. It goes on receiving after an error,
// so that no loop waits for a parent that is gone.
func writeNews(out *json.Encoder, news <-chan News) (err error) {
	defer hostinfo.LetOthersGoFirst()()
	for n := range news {
		if err == nil {
			err = out.Encode(n)
		}
	}
	return err
}

// worker owns the loops of one process.
type worker struct {
	plan     Plan
	loops    []*loop
	errs     []error
	running  sync.WaitGroup
	news     chan News
	onOpened func(index, atNS int64)
	hold     int // of holdStamps, -1: none
}

func (w *worker) start() error {
	if err := w.plan.Validate(); err != nil {
		return err
	}
	w.hold = -1
	if slices.ContainsFunc(w.plan.Phases, Phase.stamps) {
		w.hold = holdStamps()
	}
	for i := range w.plan.Loops {
		l, err := w.newLoop(i)
		if err != nil {
			w.close()
			return err
		}
		w.loops = append(w.loops, l)
	}
	w.errs = make([]error, len(w.loops))
	for i, l := range w.loops {
		w.running.Go(func() {
			if w.errs[i] = l.run(); w.errs[i] != nil {
				for o := range l.orders { // or obey would wait for ever
					if o.Finish {
						return
					}
				}
			}
		})
	}
	return nil
}

func (w *worker) newLoop(i int) (*loop, error) {
	compiled, err := w.plan.Target.Compile(time.Now())
	if err != nil {
		return nil, err
	}
	dial, err := newDialer(compiled)
	if err != nil {
		return nil, err
	}
	poll, err := newPoller(w.plan.Config.EventsMax)
	if err != nil {
		return nil, err
	}
	l := &loop{
		plan: w.plan, target: compiled, dial: dial, poll: poll, clock: NewClock(),
		// Neighbouring numbers go to different processes, so that each gets an equal share.
		id:     int64(i*w.plan.Workers + w.plan.Worker),
		shares: int64(w.plan.Loops * w.plan.Workers),
		orders: make(chan Order, 4), news: w.news, onOpened: w.onOpened,
		rare: map[int32]*rare{}, buffer: make([]byte, w.plan.Config.ReadBufferBytes),
		masks: rand.Uint64() | 1,
	}
	if compiled.Secure() {
		l.bridge, l.bridged = newBridge(compiled, w.plan.Config.ConnectTimeout), map[int32]*bridged{}
	}
	return l, nil
}

// obey passes orders on until the last one; a broken pipe is one too.
func (w *worker) obey(in *json.Decoder) error {
	for {
		var o Order
		err := in.Decode(&o)
		if err != nil {
			o = Order{Finish: true}
		}
		for _, l := range w.loops {
			l.orders <- o
			l.poll.wake()
		}
		if o.Finish {
			return err
		}
	}
}

func (w *worker) wait() error {
	w.running.Wait()
	w.close()
	return errors.Join(w.errs...)
}

// close gives back what no loop uses any more; not by a loop itself: obey wakes it until
// the end.
func (w *worker) close() {
	for _, l := range w.loops {
		l.poll.close()
	}
	if w.hold >= 0 {
		_ = unix.Close(w.hold)
	}
}

// peakRSS returns the most memory this process ever had resident, in bytes.
func peakRSS() int64 {
	var usage unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return usage.Maxrss << 10
}

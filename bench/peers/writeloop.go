package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strconv"
	"time"

	"github.com/gobwas/ws"
	"github.com/panjf2000/gnet/v2/pkg/queue"
	"golang.org/x/sys/unix"
)

// serveWriteLoop is the floor of fan-out and push: it upgrades like poller does, on
// one loop, and on request writes one frame, made beforehand, to every connection,
// one write(2) after the other on one thread.
//
//	GET  /connections                  {"connections": 10000}
//	POST /write?bytes=120&rounds=3     the JSON of writeReport
//
// bytes is the payload of the frame; rounds is how often each connection gets it.
func serveWriteLoop(o options) error {
	l, err := listen(o.listen)
	if err != nil {
		return err
	}
	control, err := listen(o.control)
	if err != nil {
		return err
	}
	loop, err := newBareLoop(l, throughScheduler)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /connections", loop.answerConnections)
	mux.HandleFunc("POST /write", loop.answerWrite)
	failed := make(chan error)
	go func() { failed <- loop.poller.Polling(loop.handle) }()
	go func() { failed <- http.Serve(control, mux) }()
	o.ready("writeloop control server", control.Addr())
	o.ready("writeloop echo server", l.Addr())
	return <-failed
}

// writeReport is what the loop cost. CPU is of the thread that wrote, so that the
// HTTP request around it does not count.
type writeReport struct {
	Connections  int     `json:"connections"`
	Rounds       int     `json:"rounds"`
	FrameBytes   int     `json:"frame_bytes"`
	Writes       int     `json:"writes"` // taken whole by the kernel
	Full         int     `json:"full"`   // not taken: the peer's buffers were full, or it was gone
	WallNS       int64   `json:"wall_ns"`
	CPUNS        int64   `json:"cpu_ns"` // user + system
	CPUPerWrite  float64 `json:"cpu_ns_per_write"`
	WallPerWrite float64 `json:"wall_ns_per_write"`
}

// onLoop runs f on the loop, between two batches of events, and waits for it.
func (l *bareLoop) onLoop(f func()) error {
	done := make(chan struct{})
	err := l.poller.Trigger(queue.HighPriority, func(any) error {
		f()
		close(done)
		return nil
	}, nil)
	if err == nil {
		<-done
	}
	return err
}

func (l *bareLoop) answerConnections(w http.ResponseWriter, _ *http.Request) {
	var n int
	err := l.onLoop(func() { n = len(l.openConns()) })
	answer(w, map[string]int{"connections": n}, err)
}

func (l *bareLoop) answerWrite(w http.ResponseWriter, r *http.Request) {
	size, err1 := number(r, "bytes", 120)
	rounds, err2 := number(r, "rounds", 1)
	if err := errors.Join(err1, err2); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	payload := make([]byte, size)
	for i := range payload {
		payload[i] = 'x'
	}
	frame := ws.MustCompileFrame(ws.NewTextFrame(payload))
	var report writeReport
	err := l.onLoop(func() { report = l.writeRounds(frame, rounds) })
	answer(w, report, err)
}

// writeRounds is the loop. On the loop.
func (l *bareLoop) writeRounds(frame []byte, rounds int) writeReport {
	runtime.LockOSThread() // its CPU time is measured by thread
	defer runtime.UnlockOSThread()
	fds := l.openConns()
	r := writeReport{Connections: len(fds), Rounds: rounds, FrameBytes: len(frame)}
	begun, before := time.Now(), threadCPU()
	for range rounds {
		for _, fd := range fds {
			if n, err := unix.Write(fd, frame); err == nil && n == len(frame) {
				r.Writes++
			} else {
				r.Full++
			}
		}
	}
	r.CPUNS = threadCPU() - before
	r.WallNS = int64(time.Since(begun))
	if all := float64(r.Writes + r.Full); all > 0 {
		r.CPUPerWrite = float64(r.CPUNS) / all
		r.WallPerWrite = float64(r.WallNS) / all
	}
	return r
}

// openConns lists the descriptors of upgraded connections. On the loop.
func (l *bareLoop) openConns() []int {
	var fds []int
	for fd, c := range l.conns {
		if c != nil && c.open {
			fds = append(fds, fd)
		}
	}
	return fds
}

// threadCPU reads this thread's CPU time, ns. getrusage(2) is not up to date: of a thread
// that is running it knows what it had used at the last tick, up to 4 ms ago.
func threadCPU() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		panic(err) // Linux has had it since 2.6.12
	}
	return ts.Nano()
}

func number(r *http.Request, name string, missing int) (int, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return missing, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 1<<20 {
		return 0, fmt.Errorf("%s=%q is not a number from 1 to %d", name, text, 1<<20)
	}
	return n, nil
}

func answer(w http.ResponseWriter, v any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

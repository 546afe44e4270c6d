package main

import (
	"bytes"
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
//	POST /answered?bytes=60&rounds=3   the same of pings, and of reading their pongs
//
// bytes is the payload of the frame; rounds is how often each connection gets it. A pong
// is what a device's ack costs at least: it comes by itself, in a read of its own, and
// takes no work but that read. Of /answered the CPU is the process's, since reading
// goes through the poller.
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
	w := &writeLoop{bareLoop: loop}
	loop.serve = w.take
	mux := http.NewServeMux()
	mux.HandleFunc("GET /connections", w.answerConnections)
	mux.HandleFunc("POST /write", w.answerWrite)
	mux.HandleFunc("POST /answered", w.answerAnswered)
	failed := make(chan error)
	go func() { failed <- loop.poller.Polling(loop.handle) }()
	go func() { failed <- http.Serve(control, mux) }()
	o.ready("writeloop control server", control.Addr())
	o.ready("writeloop echo server", l.Addr())
	return <-failed
}

// writeLoop is the loop, and the pongs that have come.
type writeLoop struct {
	*bareLoop
	pongs int // on the loop
}

// take counts pongs, which come whole and alone, and leaves the rest to the bare loop.
func (l *writeLoop) take(c *bareConn, data []byte) error {
	if c.open && len(c.rest) == 0 && ws.OpCode(data[0]&0x0f) == ws.OpPong {
		if head, size := frameSize(data); head > 0 && size == len(data) {
			l.pongs++
			return nil
		}
	}
	return l.bareLoop.take(c, data)
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

func (l *writeLoop) answerConnections(w http.ResponseWriter, _ *http.Request) {
	var n int
	err := l.onLoop(func() { n = len(l.openConns()) })
	answer(w, map[string]int{"connections": n}, err)
}

func (l *writeLoop) answerWrite(w http.ResponseWriter, r *http.Request) {
	size, rounds, err := sizes(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var report writeReport
	err = l.onLoop(func() { report = l.writeRounds(ws.MustCompileFrame(ws.NewTextFrame(filler(size))), rounds) })
	answer(w, report, err)
}

// Waiting for pongs: each look costs the loop some microseconds.
const (
	pongPoll = 5 * time.Millisecond
	pongWait = 10 * time.Second
)

// answerAnswered writes pings, a round at a time, and waits for the pongs of each.
func (l *writeLoop) answerAnswered(w http.ResponseWriter, r *http.Request) {
	size, rounds, err := sizes(r)
	if err == nil && size > ws.MaxControlFramePayloadSize {
		err = fmt.Errorf("bytes=%d: a ping has at most %d (RFC 6455 section 5.5)", size, ws.MaxControlFramePayloadSize)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	ping := ws.MustCompileFrame(ws.NewPingFrame(filler(size)))
	all := writeReport{Rounds: rounds}
	begun, before := time.Now(), cpuTime(unix.CLOCK_PROCESS_CPUTIME_ID)
	for range rounds {
		var one writeReport
		if err = l.onLoop(func() { l.pongs, one = 0, l.writeRounds(ping, 1) }); err != nil {
			break
		}
		all.Connections, all.FrameBytes = one.Connections, one.FrameBytes
		all.Writes, all.Full = all.Writes+one.Writes, all.Full+one.Full
		if err = l.awaitPongs(one.Writes); err != nil {
			break
		}
	}
	all.CPUNS, all.WallNS = cpuTime(unix.CLOCK_PROCESS_CPUTIME_ID)-before, int64(time.Since(begun))
	all.divide()
	answer(w, all, err)
}

func (l *writeLoop) awaitPongs(wanted int) error {
	for end := time.Now().Add(pongWait); ; time.Sleep(pongPoll) {
		var came int
		if err := l.onLoop(func() { came = l.pongs }); err != nil || came >= wanted {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("%d of %d pongs came within %s", came, wanted, pongWait)
		}
	}
}

// filler is a payload.
func filler(size int) []byte { return bytes.Repeat([]byte{'x'}, size) }

// writeRounds is the loop. On the loop.
func (l *bareLoop) writeRounds(frame []byte, rounds int) writeReport {
	runtime.LockOSThread() // its CPU time is measured by thread
	defer runtime.UnlockOSThread()
	fds := l.openConns()
	r := writeReport{Connections: len(fds), Rounds: rounds, FrameBytes: len(frame)}
	begun, before := time.Now(), cpuTime(unix.CLOCK_THREAD_CPUTIME_ID)
	for range rounds {
		for _, fd := range fds {
			if n, err := unix.Write(fd, frame); err == nil && n == len(frame) {
				r.Writes++
			} else {
				r.Full++
			}
		}
	}
	r.CPUNS = cpuTime(unix.CLOCK_THREAD_CPUTIME_ID) - before
	r.WallNS = int64(time.Since(begun))
	r.divide()
	return r
}

func (r *writeReport) divide() {
	if all := float64(r.Writes + r.Full); all > 0 {
		r.CPUPerWrite = float64(r.CPUNS) / all
		r.WallPerWrite = float64(r.WallNS) / all
	}
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

// cpuTime reads the CPU time of this thread or process, ns. getrusage(2) is not up to
// date: of a thread that is running it knows what it had used at the last tick, up to
// 4 ms ago.
func cpuTime(clock int32) int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(clock, &ts); err != nil {
		panic(err) // Linux has had them since 2.6.12
	}
	return ts.Nano()
}

func sizes(r *http.Request) (size, rounds int, err error) {
	size, err1 := number(r, "bytes", 120)
	rounds, err2 := number(r, "rounds", 1)
	return size, rounds, errors.Join(err1, err2)
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

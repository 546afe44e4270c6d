package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

	"github.com/roostpush/roost/bench/generator"
	"github.com/roostpush/roost/bench/hostinfo"
)

// fleet is the workers of a run. The conductor's goroutine gives orders and receives
// news; a goroutine for each worker decodes them.
type fleet struct {
	workers []*crew
	news    chan told
}

// crew is one worker as its parent sees it.
type crew struct {
	number   int
	orders   io.WriteCloser
	encode   *json.Encoder
	wait     func() error
	gone     bool // it has ended
	reported bool // its result was heard
}

// told is a piece of news and who told it; err says that it was the last one and is
// io.EOF after a normal end.
type told struct {
	from *crew
	news generator.News
	err  error
}

// startFleet starts the workers: in this process when there is one, else a process
// for each, made with the command of the options.
func startFleet(ctx context.Context, s Scenario, o Options) (*fleet, error) {
	f := &fleet{news: make(chan told, 64)}
	for i := range s.Processes {
		var c *crew
		var from io.ReadCloser
		var err error
		if s.Processes == 1 {
			c, from = startInside(ctx, o.OnOpened)
		} else {
			c, from, err = startProcess(o.WorkerCommand)
		}
		if err == nil {
			c.number = i
			c.encode = json.NewEncoder(c.orders)
			f.workers = append(f.workers, c)
			go f.listen(c, from)
			err = c.encode.Encode(s.plan(i))
		}
		if err != nil {
			f.end()
			return nil, fmt.Errorf("bench: generator process %d: %w", i, err)
		}
	}
	return f, nil
}

func startInside(ctx context.Context, onOpened func(index, atNS int64)) (*crew, io.ReadCloser) {
	ordersOut, ordersIn := io.Pipe()
	newsOut, newsIn := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := generator.Run(ctx, ordersOut, newsIn, onOpened)
		_ = ordersOut.Close() // an order that is being written must not wait for ever
		_ = newsIn.Close()
		done <- err
	}()
	return &crew{orders: ordersIn, wait: func() error { return <-done }}, newsOut
}

func startProcess(command []string) (*crew, io.ReadCloser, error) {
	if len(command) == 0 {
		return nil, nil, errors.New("no command to start it with")
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stderr = os.Stderr
	ownGroup(cmd) // Ctrl-C is for the parent, which then asks for the results
	orders, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	news, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	return &crew{orders: orders, wait: cmd.Wait}, news, nil
}

// listen decodes one worker's news until it ends, and waits for the worker.
func (f *fleet) listen(c *crew, from io.Reader) {
	defer hostinfo.LetOthersGoFirst()()
	in := json.NewDecoder(from)
	for {
		var n generator.News
		err := in.Decode(&n)
		if err != nil {
			if waitErr := c.wait(); waitErr != nil {
				err = waitErr
			}
			f.news <- told{from: c, err: err}
			return
		}
		f.news <- told{from: c, news: n}
	}
}

// order tells all workers that are there. A pipe that is broken is noticed by listen.
func (f *fleet) order(o generator.Order) {
	for _, c := range f.workers {
		if !c.gone {
			_ = c.encode.Encode(o)
		}
	}
}

// end closes all pipes to the workers, which makes them finish, and waits for them.
func (f *fleet) end() {
	for _, c := range f.workers {
		_ = c.orders.Close()
	}
	for f.present() > 0 {
		if t := <-f.news; t.err != nil {
			t.from.gone = true
		}
	}
}

// present counts the workers that have not ended.
func (f *fleet) present() (n int) {
	for _, c := range f.workers {
		if !c.gone {
			n++
		}
	}
	return n
}

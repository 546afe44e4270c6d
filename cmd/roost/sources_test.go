package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"
)

// brief is a feed that ends as soon as it has begun.
type brief struct{ begun chan struct{} }

func (f brief) Run(context.Context) error {
	close(f.begun)
	return errors.New("it ends")
}
func (f brief) Begun() <-chan struct{} { return f.begun }
func (f brief) writeStats(io.Writer)   {}

// TestSourceThatEndsAtOnce has begun all the same, so that the pauses before it is tried
// again begin anew and its complaint is logged again.
func TestSourceThatEndsAtOnce(t *testing.T) {
	s := &sources{log: slog.New(slog.DiscardHandler), ctx: t.Context()}
	one := &source{make: func() (feed, error) { return brief{make(chan struct{})}, nil }}
	first, _ := one.make()
	one.feed.Store(&first)
	one.failures.Add(1) // so that each run has a feed of its own
	for range 200 {
		if begun, err := s.run(one); !begun || err == nil {
			t.Fatalf("begun %t, %v", begun, err)
		}
		if one.up.Load() {
			t.Fatal("it is up, and has ended")
		}
	}
}

package main

import (
	"context"
	"time"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/api"
	"github.com/roostpush/roost/session/deliver"
	"github.com/roostpush/roost/session/mailbox"
	"github.com/roostpush/roost/session/processor"
)

// newProcessor makes what pushes the records of queues. It comes before the mailbox, which
// takes its turns from it; the mailbox is attached to its pusher afterwards.
func (n *node) newProcessor() {
	n.pusher = &recordPusher{
		direct:   processor.NewDirect(n.cfg.Processor, n.router, func() *deliver.Delivery { return new(deliver.Delivery) }),
		steadyMS: n.steadyMS,
	}
	n.processor = processor.New(n.cfg.Processor, n.pusher, func() int64 { return n.now().UnixMilli() }, n.steadyMS)
}

// processorEvery is how often the processor is given its clock while there are queues. Its
// shortest backoff is twice that. Without queues it only gives the mailbox its turns, which
// wait for no clock.
const processorEvery = 50 * time.Millisecond

// runProcessor begins attempts until the node ends.
func (n *node) runProcessor() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	n.running.Go(func() { n.tickQueues(); cancel() })
	n.processor.Run(ctx)
}

// tickQueues gives the processor its clock where there are queues, until the node ends;
// where there are none, tick does so.
func (n *node) tickQueues() {
	if n.sources.none() {
		<-n.ended
		return
	}
	tick := time.NewTicker(processorEvery)
	defer tick.Stop()
	for {
		select {
		case <-n.ended:
			return
		case <-tick.C:
			n.tickProcessor()
		}
	}
}

// tickProcessor gives the processor its clock, and has it pause while the store takes
// nothing.
func (n *node) tickProcessor() {
	n.processor.Tick()
	n.pusher.direct.Sweep(n.steadyMS())
	if n.mailHealth() != nil {
		n.processor.Pause(processor.StoreStalled)
	} else {
		n.processor.Resume(processor.StoreStalled)
	}
}

// codeTopicTTL rejects records for topics that want to be kept.
const codeTopicTTL = "ttl_to_topic"

// recordPusher sends a record to where its kind goes.
type recordPusher struct {
	direct   *processor.Direct[*deliver.Delivery]
	keeping  *processor.Keeping
	steadyMS func() int64
}

// Push makes one attempt (processor.Pusher).
func (p *recordPusher) Push(r *processor.Record, _ int, done func(processor.Result)) {
	switch {
	case r.Topic != "" && r.TTLMS > 0:
		done(processor.Result{Reject: &processor.Reject{Code: codeTopicTTL, Detail: "roost-ttl-ms with roost-topic: a topic keeps its window for those who subscribe with since, and nothing for each device; leave it out or send 0"}})
	case r.TTLMS > 0:
		p.keeping.Push(r, done)
	default:
		p.direct.Push(r, p.steadyMS(), done)
	}
}

// queued hands the mailbox what comes from queues.
type queued struct{ keeper api.Keeper }

// Keep keeps m (processor.Keeper).
func (q queued) Keep(m *session.Kept, w processor.Watcher) {
	q.keeper.Post(&mailbox.Push{
		Brief:   true,
		Account: m.Account, Device: m.Device,
		Kind: m.Kind, Payload: m.Payload, SentMS: m.SentMS, ExpiresMS: m.ExpiresMS, Priority: m.Priority, Trace: m.Trace, Key: m.Key,
	}, w)
}

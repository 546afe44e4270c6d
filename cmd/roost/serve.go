package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/roostpush/roost/cmd/roost/internal/config"
	"github.com/roostpush/roost/session/auth"
	"github.com/roostpush/roost/session/lifecycle"
	"github.com/roostpush/roost/session/processor"
)

// serve runs the node until ctx ends, then sees its devices out and returns nil. Its
// steps, in order:
//
//	newNode      the store first, since its epoch is in every id
//	listen       both listeners, so that a taken port is an error and not a race
//	announce     the addresses, to the log, to people and to --addresses-file
//	leave        readiness fails, goaway, closes, the journal's last commit
//
// A processor does the same without the public listener. addresses names a file that gets the addresses as JSON; empty: none.
func serve(ctx context.Context, cfg config.Config, log *slog.Logger, addresses string) error {
	tuneCollector(log)
	n, err := newNode(ctx, cfg, log, time.Now)
	if err != nil {
		return err
	}
	public := ""
	if !cfg.Deviceless {
		if err := n.reactor.Listen(cfg.Listen); err != nil {
			n.abandon()
			return err
		}
		public = n.reactor.Addr().String()
	}
	internal, err := net.Listen("tcp", cfg.Internal)
	if err != nil {
		n.abandon()
		return fmt.Errorf("internal listener: %w", err)
	}
	failed := n.start(internal)
	if n.cluster != nil {
		if err := n.cluster.Start(ctx, internal.Addr().String(), public); err != nil {
			log.Error("leaving: the cluster", "error", err)
			return errors.Join(err, n.leave())
		}
	}
	n.sources.start()
	if err := n.announce(public, internal.Addr().String(), addresses); err != nil {
		log.Error("addresses file", "error", err)
	}
	select {
	case <-ctx.Done():
		log.Info("leaving: told to stop", "sessions", n.sessions.Len(), "over", cfg.Drain.Over.String())
	case err = <-failed:
		log.Error("leaving: a listener failed", "error", err)
	case why := <-n.overtaken():
		err = errors.New(why)
		log.Error("leaving: this node is another process now", "reason", why)
	}
	return errors.Join(err, n.leave())
}

// overtaken receives why this process must not be the node any more.
func (n *node) overtaken() <-chan string {
	if n.cluster == nil {
		return nil
	}
	return n.cluster.Overtaken()
}

// start runs what serves; the channel gets the first failure.
func (n *node) start(internal net.Listener) <-chan error {
	failed := make(chan error, 2)
	n.running.Go(func() {
		if err := n.reactor.Serve(); err != nil {
			failed <- err
		}
	})
	n.running.Go(func() {
		if err := n.api.Serve(internal); err != nil {
			failed <- err
		}
	})
	n.running.Go(n.tick)
	n.running.Go(n.replayTopics)
	n.running.Go(n.runMailbox)
	n.running.Go(n.runProcessor)
	n.running.Go(n.export)
	n.running.Go(n.giveBackWhenQuiet)
	return failed
}

// runMailbox does the mailbox's reading until the node ends.
func (n *node) runMailbox() {
	ctx, cancel := context.WithCancel(context.Background())
	n.running.Go(func() { <-n.ended; cancel() })
	n.mailbox.Run(ctx)
}

// How often the verbs are given their clock: relay ends what has waited too long,
// the mailbox lets messages expire, deliver goes on past receivers that take nothing,
// presence tells of who came and went.
const (
	sweepEvery = 250 * time.Millisecond
	paceEvery  = time.Second
	tellEvery  = 25 * time.Millisecond
)

// replayTopics answers what devices have missed of topics, until the node ends.
func (n *node) replayTopics() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	n.running.Go(func() {
		<-n.ended
		cancel()
	})
	n.topics.Run(ctx)
}

// tick gives the verbs their clock until the node ends. An idle node wakes for its loops'
// own ticks and for little else: a wake of a process that sleeps costs about as much as the
// ping of a device. So the verbs' steps are the loops' ticks; presence has its short
// step only while somebody watches, and the processor its own only where there are queues.
// The loops end before the mailbox has handed over what it keeps: from then on a ticker of
// its own is the clock.
func (n *node) tick() {
	alone, watch := time.NewTicker(sweepEvery), time.NewTicker(tellEvery)
	defer alone.Stop()
	defer watch.Stop()
	alone.Stop()
	ticked := n.reactor.Ticked()
	sweep, pace := rhythm{every: sweepEvery}, rhythm{every: paceEvery}
	step := func() {
		if now := time.Since(n.began); sweep.due(now) {
			n.sweep()
			if pace.due(now) {
				n.pace()
			}
		}
	}
	for {
		select {
		case <-n.ended:
			return
		case _, runs := <-ticked:
			if !runs {
				ticked = nil
				alone.Reset(sweepEvery)
			}
			step()
		case <-alone.C:
			step()
		case <-n.presence.First():
			watch.Reset(tellEvery)
		case <-watch.C:
			n.presence.Tick(n.steadyMS(), n.now().UnixMilli())
			if !n.presence.Watched() {
				watch.Stop()
			}
		}
	}
}

// sweep gives their clock to those who end what is over.
func (n *node) sweep() {
	n.relay.Sweep(n.now().UnixMilli())
	n.mailbox.Tick(n.steadyMS(), n.now().UnixMilli())
	if n.sources.none() {
		n.tickProcessor()
	}
}

// pace gives their clock to those who count by seconds.
func (n *node) pace() {
	n.setWallUS()
	n.router.Tick(n.steadyMS())
	n.topics.Tick(n.steadyMS())
}

// announce says where the node can be reached; public is empty if devices cannot.
func (n *node) announce(public, internal, file string) error {
	what := "node is up"
	if n.cfg.Deviceless {
		what = "processor is up"
	}
	n.log.Info(what, "node", n.origin.Node, "epoch", n.origin.Epoch, "public", public, "internal", internal,
		"max_connections", n.reactor.ConnectionsMax(), "auth", n.cfg.Auth.Mode)
	if n.cfg.Auth.Mode == auth.ModeNone && !n.cfg.Deviceless {
		// Somebody is trying the node out. The log goes to standard error, this does not.
		hint(os.Stdout, dialable(public), dialable(internal))
	}
	if file == "" {
		return nil
	}
	known := map[string]any{"internal": internal, "pid": os.Getpid()}
	if public != "" {
		known["public"] = public
	}
	if n.cluster != nil {
		known["gossip"] = n.cluster.GossipAddr()
	}
	text, err := json.Marshal(known)
	if err != nil {
		return err
	}
	// Whoever waits for the file must never read half of it.
	part := filepath.Join(filepath.Dir(file), "."+filepath.Base(file)+".part")
	if err := os.WriteFile(part, append(text, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(part, file)
}

// leave ends the node: readiness fails first, new upgrades get 503, and the API's answers
// end their connections; after a delay every device is told to go, over a time; then the
// API ends, what is kept for devices is handed over as far as there is time, and last the
// journal is committed.
func (n *node) leave() error {
	n.gate.Drain()
	n.running.Go(n.endQueues)
	n.api.Drain()
	if n.cluster != nil {
		n.cluster.Drain()
	}
	time.Sleep(n.cfg.Drain.ReadyDelay)
	n.drain()
	var last sync.WaitGroup
	last.Go(func() { n.waitUntilGone(n.cfg.Netpoll.CloseTimeout + time.Second) })
	last.Go(n.endAPI)
	last.Wait()
	n.reactor.Stop()
	n.gate.Close()
	<-n.queuesEnded
	if n.cluster != nil {
		n.cluster.HandOver() // while the mailbox and topics still run, and links
	}
	close(n.ended)
	n.running.Wait()
	n.leaveCluster()
	n.verifier.Close()
	if err := n.closeStores(); err != nil {
		return err
	}
	n.log.Info("node has left")
	return nil
}

// endQueues takes nothing more from queues and finishes what is in work, beside the drain
// of the devices; after that the processor begins nothing. What has no result by then was not
// committed to its queue, and comes again on another node.
func (n *node) endQueues() {
	n.sources.stop()
	n.processor.Pause(processor.Draining)
	close(n.queuesEnded)
}

// lastRequests is how long requests that are under way may take when the node leaves.
const lastRequests = 5 * time.Second

func (n *node) endAPI() {
	timeout, cancel := context.WithTimeout(context.Background(), lastRequests)
	defer cancel()
	if err := n.api.Shutdown(timeout); err != nil {
		n.log.Warn("requests were cut", "error", err)
	}
}

// drain steps through the paced drain until everybody is told and closed.
func (n *node) drain() {
	d := lifecycle.NewDrain(n.cfg.Drain, n.sessions, n.reactor)
	step := time.NewTicker(50 * time.Millisecond)
	defer step.Stop()
	for start := time.Now(); !d.Step(time.Since(start)) && n.sessions.Len() > 0; {
		<-step.C
	}
}

// waitUntilGone lets the last devices answer their close.
func (n *node) waitUntilGone(most time.Duration) {
	for end := time.Now().Add(most); n.sessions.Len() > 0 && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
	}
}

// abandon undoes newNode when nothing was started.
func (n *node) abandon() {
	var wg sync.WaitGroup
	wg.Go(func() { _ = n.reactor.Serve() })
	n.reactor.Stop()
	wg.Wait()
	n.sources.end()
	n.gate.Close()
	n.leaveCluster()
	n.verifier.Close()
	if err := n.closeStores(); err != nil {
		n.log.Error("store", "error", err)
	}
}

package main

import (
	"context"

	"github.com/roostpush/roost/session/trace/otlp"
)

// newExporter has what the node notes of messages exported, if a URL for it is set.
func (n *node) newExporter() {
	if n.cfg.Trace.OTLP.URL != "" && n.trace != nil {
		n.exporter = otlp.New(n.cfg.Trace.OTLP, n.origin.Node, version(), n.log)
		n.trace.AttachExporter(n.exporter)
	}
}

// export posts spans until the node ends, which waits for the last posts, at most twice
// trace.otlp.timeout.
func (n *node) export() {
	if n.exporter == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	n.running.Go(func() { <-n.ended; cancel() })
	n.exporter.Run(ctx)
}

package main

import (
	"fmt"
	"io"
	"reflect"
	"strconv"

	"github.com/roostpush/roost/session"
)

// metrics writes what the node's parts have counted. The names stand where the counters
// do, as tags of their fields; here they are only put on paper.
func (n *node) metrics(w io.Writer) {
	writeMetrics(w, n.reactor.Stats())
	writeMetrics(w, n.gate.Stats())
	writeMetrics(w, n.router.Stats())
	writeMetrics(w, n.relay.Stats())
	writeMetrics(w, n.topics.Stats())
	writeMetrics(w, n.mailbox.Stats())
	writeMetrics(w, n.mailbox.KeyStats())
	writeMetrics(w, n.presence.Stats())
	writeMetrics(w, n.processor.Stats())
	n.sources.writeMetrics(w)
	writeMetrics(w, n.trace.Stats())
	writeMetrics(w, n.exporter.Stats())
	n.store.Metrics(w)
	writeMetrics(w, n.store.MailStats())
	if n.redis != nil {
		writeMetrics(w, n.redis.Stats())
	}
	if n.cluster != nil {
		for _, stats := range n.cluster.Stats() {
			writeMetrics(w, stats)
		}
	}
	v := n.verifier.Stats()
	fmt.Fprintf(w, "roost_sessions %d\nroost_auth_keys %d\nroost_auth_cache_entries %d\nroost_auth_cache_hits_total %d\nroost_auth_cache_misses_total %d\nroost_auth_reloads_total %d\nroost_auth_reload_failures_total %d\n",
		n.sessions.Len(), v.Keys, v.CacheEntries, v.CacheHits, v.CacheMisses, v.Reloads, v.ReloadFailures)
	fmt.Fprintf(w, "roost_info{version=%q,node=%q} 1\nroost_epoch %d\n", version(), n.origin.Node, n.origin.Epoch)
}

// writeMetrics writes every field that has a metric tag. An array is one metric with a
// label, whose values are outcomes or, with a base, numbers, or what its method Label
// says.
func writeMetrics(w io.Writer, stats any) {
	v := reflect.ValueOf(stats)
	for i := range v.NumField() {
		field, value := v.Type().Field(i), v.Field(i)
		name := field.Tag.Get("metric")
		switch {
		case field.Anonymous:
			writeFields(w, value)
		case name != "":
			writeField(w, name, field, value)
		}
	}
}

// writeFields writes an embedded struct, whose type may be another package's own.
func writeFields(w io.Writer, v reflect.Value) {
	for i := range v.NumField() {
		if field := v.Type().Field(i); field.Tag.Get("metric") != "" {
			writeField(w, field.Tag.Get("metric"), field, v.Field(i))
		}
	}
}

func writeField(w io.Writer, name string, field reflect.StructField, v reflect.Value) {
	if v.Kind() != reflect.Array {
		fmt.Fprintf(w, "%s %v\n", name, number(v))
		return
	}
	label, base := field.Tag.Get("label"), field.Tag.Get("base")
	if named, ok := v.Interface().(interface{ Label(i int) string }); ok {
		for i := range v.Len() {
			fmt.Fprintf(w, "%s{%s=%q} %v\n", name, label, named.Label(i), number(v.Index(i)))
		}
		return
	}
	for i := range v.Len() {
		if label == "" {
			if o := session.Outcome(i); o != session.Pending {
				fmt.Fprintf(w, "%s{outcome=%q} %v\n", name, o, number(v.Index(i)))
			}
			continue
		}
		if n, err := strconv.Atoi(base); err == nil && v.Index(i).Uint() > 0 {
			fmt.Fprintf(w, "%s{%s=\"%d\"} %v\n", name, label, n+i, number(v.Index(i)))
		}
	}
}

func number(v reflect.Value) string {
	if v.CanFloat() {
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	}
	if v.CanInt() {
		return strconv.FormatInt(v.Int(), 10)
	}
	return strconv.FormatUint(v.Uint(), 10)
}

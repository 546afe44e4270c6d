// Package tally counts what a load generator sees: counters, latency histograms,
// closes by code, errors by class, and whether numbered messages arrived once and
// in order.
//
// A Tally belongs to one event loop and is not safe for others; loops hand theirs
// over when they end and they are merged, across processes through JSON. It knows
// neither sockets nor clocks.
//
// Start reading at Tally.
package tally

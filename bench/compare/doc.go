// Package compare measures two or more servers in one run: it loads them in turn,
// round by round and in alternating order, so that a machine that is slow for a
// minute is slow for all of them, and compares them pair by pair. The ratio of two
// figures of one round is what a noisy machine leaves standing; its median over the
// rounds is the result, and its extremes say how far to believe it.
//
// Servers either run already, or are started here, pinned to a core of their own.
// It sees them from outside (sockets and /proc), like the rest of package bench,
// whose Run carries out each round. It judges no budget of its own: thresholds are
// the caller's.
//
// Start reading at Run, then Plan.
package compare

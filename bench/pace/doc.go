// Package pace says when each item of an open-loop load is meant to start.
//
// A load is open-loop when its intended start times do not depend on how the
// server answers; a latency measured from them contains the time an item had to
// wait because the server, or the generator, was late (Gil Tene's "coordinated
// omission"). It is arithmetic only: no clock, no goroutine.
package pace

// Package device is one connection of one device of Roost, frame by frame: plain
// WebSocket (RFC 6455) and the JSON of PROTOCOL.md section 1. The experiments and
// disruptions use it, which look at each frame and have some thousand devices at most;
// load is package generator's, which costs a hundredth of it.
//
// It never comes back by itself and starts no goroutine. Start reading at Open.
package device

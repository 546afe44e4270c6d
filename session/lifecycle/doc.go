// Package lifecycle is how sessions leave a node other than one by one: a paced drain.
//
// It decides who is told what and when; it knows no socket and keeps no clock of its
// own beyond the pace it is asked for. cmd/roost calls it when the node is told to stop.
package lifecycle

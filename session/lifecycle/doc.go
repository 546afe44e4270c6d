// Package lifecycle is how sessions leave a node other than one by one, which is a paced drain, and
// what the node does once it is quiet: memory is given back.
//
// It decides who is told what and when; it knows no socket, reads no heap and keeps no clock of its
// own beyond the pace it is asked for. cmd/roost calls it: NewDrain when the node is told to stop,
// QuietHeap.Run for as long as it runs.
package lifecycle

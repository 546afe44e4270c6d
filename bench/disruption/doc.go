// Package disruption disturbs a cluster under load and judges what it said meanwhile:
// nodes are killed, cut off from each other, healed and restarted one after the other,
// while devices stay, move and come back and pushes enter at every node.
//
// It sees the cluster from outside: sockets of devices, the API for services, and a
// program that does what an operator does (kill, cut, heal, start, stop). It never asks
// a node what it believes; what is true it knows from its own sockets (truth.go), and
// each answer is held against that.
//
//	plan.go       what is done to the cluster, in order: Partition, Rolling
//	conductor.go  does it, and tells the workers what is so
//	worker.go     a process with a share of the devices and of the pushes
//	fleet.go      the devices of a worker; device.go and session.go one of them
//	pusher.go     pushes at a rate, and what came back; push.go one of them
//	truth.go      what was so during a push, and what it was therefore to be told
//	tally.go      what came out, by phase and class; verdict.go what must hold
//
// Start reading at truth.go.
package disruption

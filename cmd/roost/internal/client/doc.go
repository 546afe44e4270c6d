// Package client calls a node's internal HTTP API (PROTOCOL.md section 2) for
// the operator's commands, and turns what goes wrong into sentences that say
// what to do next.
//
// It never retries, never decides whether a push succeeded, and prints nothing:
// the commands of cmd/roost do. Start reading at Client.
package client

// Package session holds the nouns of a push node: Address, Message, Outcome,
// Session, Registry and Record.
//
// It uses the standard library only and does no I/O: it knows neither sockets
// nor disks nor clocks. Everything above it speaks in these words.
//
// Start reading at Session, then Registry.
package session

// Package wire turns messages into bytes and back: the JSON frames that devices
// exchange with a node and the pushes that services send to one (PROTOCOL.md
// sections 1 and 2).
//
// Append functions append one whole frame to a buffer of the caller's; Parse
// functions fill a struct of the caller's, whose byte slices are borrowed from
// the input or from a scratch that the struct owns, and are valid until either is
// used again. None of them allocates for a well-formed frame, blocks, or keeps
// anything. A payload is checked to be JSON and then carried byte for byte; it is
// never parsed into anything.
//
// Every function may be called from any goroutine; a struct belongs to one
// goroutine at a time.
//
// The frames between nodes (section 4) are binary and are in the files link*.go:
// linkframe.go has their types and rules, linkbody.go reads their fields.
//
// Start reading at device.go and append.go; json.go is the scanner beneath.
package wire

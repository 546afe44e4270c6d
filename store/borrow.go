package store

import "unsafe"

// borrow views a string as bytes, so that one codec serves both without a copy.
// The result must only be read, and not after s is gone.
func borrow(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

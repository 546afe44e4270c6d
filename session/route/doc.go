// Package route is the table: which node every device of the cluster is connected
// to. It is the union of the authors' sets (DESIGN.md decision 3), held in slots of
// 16 bytes outside Go's heap (decision 4).
//
// It is pure: it reads no clock, opens no file and no socket, starts no goroutine,
// and knows authors by small numbers instead of names. Package replica writes it,
// deliver and topics read it. Any goroutine may call any method.
//
// Start reading at Table, then array.go for how slots lie, lookup.go for why a
// reader needs no lock, and sweep.go for how things go away.
package route

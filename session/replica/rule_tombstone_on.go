//go:build !mutant_tombstone

package replica

// ruleTombstone: a closed entry stays as a tombstone for a while.
const ruleTombstone = true

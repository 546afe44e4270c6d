//go:build mutant_tombstone

package replica

// ruleTombstone is switched off: the simulator must notice.
const ruleTombstone = false

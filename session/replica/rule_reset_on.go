//go:build !mutant_reset

package replica

// ruleReset: an author whose set is dropped goes back to state none, so that it is pulled again.
const ruleReset = true

//go:build mutant_reset

package replica

// ruleReset is switched off: the simulator must notice.
const ruleReset = false

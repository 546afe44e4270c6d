//go:build mutant_reassert

package replica

// ruleReassert is switched off: the simulator must notice.
const ruleReassert = false

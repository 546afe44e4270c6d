//go:build mutant_swap

package replica

// ruleSwap is switched off: the simulator must notice.
const ruleSwap = false

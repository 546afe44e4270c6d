//go:build !mutant_swap

package replica

// ruleSwap: a snapshot is loaded beside the old set and replaces it.
const ruleSwap = true

//go:build mutant_forget

package replica

// ruleForget is switched off: the simulator must notice.
const ruleForget = false

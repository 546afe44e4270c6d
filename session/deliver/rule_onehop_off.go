//go:build mutant_onehop

package deliver

// ruleOneHop is switched off: the simulator must notice.
const ruleOneHop = false

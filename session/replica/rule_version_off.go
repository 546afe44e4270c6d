//go:build mutant_version

package replica

// ruleVersion is switched off: the simulator must notice.
const ruleVersion = false

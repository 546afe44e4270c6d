//go:build mutant_hold

package mailbox

// ruleHold is switched off: the simulator must notice.
const ruleHold = false

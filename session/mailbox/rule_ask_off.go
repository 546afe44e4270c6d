//go:build mutant_ask

package mailbox

// ruleAsk is switched off: the simulator must notice.
const ruleAsk = false

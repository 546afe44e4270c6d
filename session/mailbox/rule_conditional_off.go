//go:build mutant_conditional

package mailbox

// ruleConditional is switched off: TestInterleavings must notice.
const ruleConditional = false

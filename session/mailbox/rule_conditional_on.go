//go:build !mutant_conditional

package mailbox

// ruleConditional: what is heard of an attempt changes a message only if that was its latest.
const ruleConditional = true

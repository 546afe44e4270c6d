//go:build !mutant_keep

package mailbox

// ruleKeep: a message that was written is kept until it is acknowledged.
const ruleKeep = true

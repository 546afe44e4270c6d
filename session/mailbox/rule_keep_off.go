//go:build mutant_keep

package mailbox

// ruleKeep is switched off: TestInterleavings must notice.
const ruleKeep = false

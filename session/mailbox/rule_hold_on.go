//go:build !mutant_hold

package mailbox

// ruleHold: an ack for which there is no link to its keeper is held until there is one.
const ruleHold = true

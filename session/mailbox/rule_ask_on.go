//go:build !mutant_ask

package mailbox

// ruleAsk: a home asks for a key the nodes that have not given away theirs.
const ruleAsk = true

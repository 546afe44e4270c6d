//go:build !mutant_reassert

package replica

// ruleReassert: a live session that is beaten by another node's entry is settled with that node.
const ruleReassert = true

//go:build !mutant_onehop

package deliver

// ruleOneHop: a message that came over a link is not forwarded again.
const ruleOneHop = true

//go:build !mutant_forget

package replica

// ruleForget: a misrouted message forgets an entry only if its version is still the one that was used.
const ruleForget = true

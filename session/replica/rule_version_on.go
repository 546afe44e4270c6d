//go:build !mutant_version

package replica

// ruleVersion: an opening takes a version above whatever the table has.
const ruleVersion = true

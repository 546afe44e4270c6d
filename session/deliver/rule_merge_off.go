//go:build mutant_merge

package deliver

// ruleMerge is switched off: the simulator must notice.
const ruleMerge = false

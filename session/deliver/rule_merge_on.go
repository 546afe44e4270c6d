//go:build !mutant_merge

package deliver

// ruleMerge: a device has one outcome.
const ruleMerge = true

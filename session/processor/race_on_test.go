//go:build race

package processor

func init() { raced = true }

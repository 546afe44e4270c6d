//go:build race

package relay_test

func init() { raced = true }

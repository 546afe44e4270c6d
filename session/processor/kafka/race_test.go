//go:build race

package kafka

func init() { raced = true }

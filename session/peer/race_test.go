//go:build race

package peer

func init() { raced = true }

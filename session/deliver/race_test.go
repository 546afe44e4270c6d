//go:build race

package deliver

func init() { raced = true }

//go:build !race

package netpolltest

const raceEnabled = false

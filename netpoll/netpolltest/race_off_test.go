//go:build !race

package netpolltest

const raceEnabled = false

// testLimitBytes is the message limit of the server under test: the largest size in
// Autobahn's group 9.
const testLimitBytes = 16 << 20

// cutBytesMax is the input above which -short does not cut.
const cutBytesMax = 5 << 20

//go:build race

package netpolltest

const raceEnabled = true

// testLimitBytes is a quarter of what it is without the race detector, which notes each byte
// that is moved: most of its time went into the contents of a dozen messages. The cases on
// both sides of the limit are made of the limit, so none of them is left out; larger ones
// than the limit are, and run without the detector.
const testLimitBytes = 4 << 20

// cutBytesMax is the input above which -short does not cut.
const cutBytesMax = 2 << 20

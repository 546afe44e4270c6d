// Package hush keeps the standard logger silent until main begins.
//
// VictoriaMetrics/metrics logs a line from an init function on hosts without
// pressure stall information, so every `roost push` would print it. Packages are
// initialised in the order of their import paths, each after its imports (Go
// specification, "Program initialization"); this one imports nothing but log and
// its imports, which net/http needs too, and github.com sorts before net/http,
// which metrics needs. So it comes before metrics, as a test of cmd/roost holds.
//
// Nobody but main calls it.
package hush

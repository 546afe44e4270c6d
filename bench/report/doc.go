// Package report holds the result of a run and shows it: the flat list of metrics,
// thresholds over them, the live line, the final table, and JSON.
//
// It measures nothing. Start reading at Result, then metrics.go.
package report

// Package scenariofile reads a scenario from YAML: the target, what must hold, and a
// list of phases that are carried out one after the other. A key that nobody knows is
// an error that names the nearest one and its line, and so is a key that the phase it
// stands in does not look at: a figure must not come from a setting that was ignored.
//
// It opens no socket. cmd/roost-bench is its only caller. Start reading at Parse, then
// file in schema.go, whose tags are the documentation of the keys.
package scenariofile

// Package bench is the load tester's conductor: it turns a Scenario into a plan
// of phases, checks that this machine can carry it out, runs it in one or more
// generator processes, and merges what they measured into one report.Result.
//
// It sees a server only from outside: sockets, HTTP and /proc. It holds no
// connection itself, package generator does, and it decides no figure's format,
// package report does. cmd/roost-bench is its only caller.
//
// A ramp (ramp.go) runs one phase many times and judges each by itself. Files of phases
// are read by package scenariofile; package compare runs several targets in turn, package
// experiment starts nodes of its own, and package budget judges Roost with all of these.
//
// How to grow it: a new way of loading is a phase (a file phase_*.go in package
// generator), a new command is a list of phases (scenario.go here), and a figure
// is a counter or a histogram (package tally), which gives it a place in the
// table, in the JSON file, in --fail and in the merge between processes at once.
//
// Start reading at Run, then Scenario.
package bench

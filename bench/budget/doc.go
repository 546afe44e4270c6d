// Package budget measures what Roost promises of itself: every row of the table of
// budgets, each beside its floor (a bare loop of system calls, or another server) that
// is measured in the same run, on the same two cores. Server processes are pinned to
// one core and this one to the other, so figures are CPU time a message and do not
// depend on who else is busy; what depends on it all the same (latencies) is measured
// again when the generator says that it was disturbed.
//
// It starts roost, roost-bench echo-server and bench/peers itself, and judges; the
// measuring is done by the packages bench, compare and experiment. cmd/roost-bench is
// its only caller.
//
// Start reading at Run, then Row. Each file with rows is named after them.
package budget

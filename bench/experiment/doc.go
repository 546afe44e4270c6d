// Package experiment starts a real roost serve, treats it as an operator's machine
// would, and measures what cannot be measured from a running server alone: memory
// for each idle device between two plateaus, and what a kill -9 leaves behind.
//
// It sees the server from outside: its process, its sockets, its HTTP API. Start
// reading at IdleSlope and Crash.
package experiment

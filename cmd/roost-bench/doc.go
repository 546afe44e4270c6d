// Command roost-bench is a load tester for WebSocket servers: it holds many
// connections cheaply, paces its load from intended start times, and says when it
// was itself the bottleneck.
//
// This package reads flags, asks package bench, and shows the report; it decides
// nothing else. Start reading at main.go.
package main

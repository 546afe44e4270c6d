// Command peers is what Roost is compared with: one echo server for each library
// that people would choose instead, and the floors below which nothing on this
// machine can go. It is a module of its own, so that its dependencies stay out of
// Roost's.
//
// Every server has the same socket options (socket.go) and otherwise its library's
// defaults and its documented way of echoing. None checks UTF-8, compresses, limits
// or times anything that its library does not by default. GOMAXPROCS follows the
// affinity mask, so taskset pins any of them.
//
// It is for measurements on one's own machine and never for a network. roost-bench
// compare starts it; compare.sh is what make bench-peers runs. Linux only. Start
// reading at main.go, then poller.go, which is the floor.
package main

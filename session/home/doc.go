// Package home says which node keeps an account's or a topic's durable state: the
// home of DESIGN.md decision 7, by rendezvous hashing over the active members
// (Thaler and Ravishankar, "Using name-based mappings to increase hit rates", 1998).
//
// It is pure. Every node that knows the same members gives the same answer, in
// whatever order it heard of them, and a member that comes or goes moves only what it
// gets or what it had. Who owns the membership makes a new Members of it and swaps
// the pointer.
//
// Start reading at Members.
package home

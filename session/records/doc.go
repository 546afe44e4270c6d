// Package records takes the facts of sessions (who opened, who closed) to the homes of
// their accounts, which keep the records of devices (DESIGN.md decision 7), and stands in
// for a home that cannot be reached:
//
//	sessions ──> Journal ──> this node's store, the home itself
//	                    └──> Keeper: queue ──> keep frames ──> the home's Keeper ──> its store
//	                                    └──> no link, no room, no answer: this node's store
//	hand-over (what stood in) ──> Keeper.Offer ──> their homes
//
// It decides where a fact is, and loses none without counting it. It never decides which
// node is a home (package home does, by the members that its caller passes in), opens
// no link, reads no clock and no disk: frames go out through Ports.Send, answers come in
// as Kept, time with Tick.
//
// Of sessions whose end was lost all the same an Auditor finds the records that read as open, and
// closes them.
//
// cmd/roost's cluster makes one Keeper for each node, feeds it from links and asks it what
// waits. Start reading at Keeper, then queue.go.
package records

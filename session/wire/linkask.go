package wire

import "github.com/roostpush/roost/session"

// Heads is one side of a comparison (DESIGN.md decision 3): how far the sender knows
// each author's log, its own included. A Seq of 0 says only that the author's epoch is
// known. An answer names just the authors of which the asker is behind.
type Heads struct {
	Answer bool  // nobody answers an answer
	SentMS int64 // by the sender's clock, Unix milliseconds; so clocks are compared too
	Heads  []Head
}

// Question asks a node whether it still holds a device, because its entry beats a live
// session of the asker. Names are full: hashes may collide.
type Question struct {
	Address uint64          // hash of Name
	Account uint64          // hash of Name.Account
	Version uint64          // of the entry that beats the asker's
	Name    session.Address // who is asked for
}

// Answer says what the asked node has under the hash of a Question.
type Answer struct {
	Address uint64 // of the question
	Version uint64 // of the question
	Holding Holding
}

// Holding is what a node has under an address hash.
type Holding uint8

// What an Answer may say.
const (
	HoldsNone  Holding = iota // no session: the entry is stale
	HoldsIt                   // a session of exactly that device
	HoldsOther                // a session of another device with the same hash
)

// HoldingCount is the number of values a Holding can have.
const HoldingCount = 3

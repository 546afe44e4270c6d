package session

// Outcome is what became of a message for one device. The set is closed
// (DESIGN.md decision 6); the zero value, Pending, is never shown to a caller as
// a final outcome.
type Outcome uint8

// The outcomes. Written means that the kernel took the bytes, Acked that the
// device said so; nothing is ever called delivered because it was enqueued.
const (
	Pending     Outcome = iota // not known yet
	Written                    // the kernel took every byte
	Acked                      // the device acknowledged it
	Queued                     // kept, synced, to be delivered later
	Offline                    // the device is not connected
	Unreachable                // the table names a node that no link reaches
	Expired                    // its ttl ran out first
	Overloaded                 // a named limit was full
	Misrouted                  // the node that was asked does not hold the device
	Lost                       // it was in flight when the connection ended
	Forbidden                  // the sender may not do this
	TooLarge                   // larger than the receiver's limit
	Timeout                    // the level asked for was not reached in time
	Cancelled                  // withdrawn before it was delivered

	outcomes // count
)

// OutcomeCount is the number of outcomes, for arrays indexed by Outcome.
const OutcomeCount = int(outcomes)

var outcomeNames = [outcomes]string{
	"pending", "written", "acked", "queued", "offline", "unreachable", "expired",
	"overloaded", "misrouted", "lost", "forbidden", "too_large", "timeout", "cancelled",
}

// String returns the word used on the wire.
func (o Outcome) String() string {
	if o >= outcomes {
		return "invalid"
	}
	return outcomeNames[o]
}

// ParseOutcome reads the word used on the wire.
func ParseOutcome(s string) (Outcome, bool) {
	for i, name := range outcomeNames {
		if s == name {
			return Outcome(i), true
		}
	}
	return Pending, false
}

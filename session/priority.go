package session

// Priority is the lane of a message that is delivered later. Within one, order is kept.
type Priority uint8

// The lanes.
const (
	PriorityNormal Priority = iota
	PriorityHigh
	PriorityLow

	priorities
)

// PriorityCount is the number of lanes, for arrays indexed by Priority.
const PriorityCount = int(priorities)

var priorityNames = [priorities]string{"normal", "high", "low"}

// String returns the word used on the wire.
func (p Priority) String() string { return priorityNames[p] }

// ParsePriority reads the word used on the wire; the empty string is the default.
func ParsePriority(s string) (Priority, bool) {
	if s == "" {
		return PriorityNormal, true
	}
	for i, name := range priorityNames {
		if s == name {
			return Priority(i), true
		}
	}
	return 0, false
}

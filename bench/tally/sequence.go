package tally

// Sequence follows the numbers 0, 1, 2, ... that come back on one connection and
// tells lost, repeated and reordered ones apart in 16 bytes. It remembers the last
// 64 numbers exactly. An older one counts as reordered while some number is still
// missing, else as a repeat.
type Sequence struct {
	seen    uint64 // bit b: number next-1-b came back
	next    uint32 // one more than the highest number that came back
	missing uint32 // numbers below next that have not come back
}

// Verdict says what an arriving number is.
type Verdict uint8

// The verdicts.
const (
	InOrder Verdict = iota
	Skipped         // in order, but numbers before it are missing so far
	Again           // came back before
	Behind          // first time, after a later one
)

// Arrive notes number n and judges it.
func (s *Sequence) Arrive(n uint32) Verdict {
	if n >= s.next {
		gap := n - s.next
		if gap >= 64 {
			s.seen = 0
		} else {
			s.seen <<= gap + 1 // a shift by 64 gives 0, as it should
		}
		s.seen |= 1
		s.missing += gap
		s.next = n + 1
		if gap > 0 {
			return Skipped
		}
		return InOrder
	}
	back := s.next - 1 - n
	if back < 64 {
		if s.seen&(1<<back) != 0 {
			return Again
		}
		s.seen |= 1 << back
	} else if s.missing == 0 {
		return Again
	}
	s.missing--
	return Behind
}

// Outstanding returns how many of the first sent numbers have not come back.
func (s *Sequence) Outstanding(sent uint32) int64 {
	return int64(sent) - int64(s.next) + int64(s.missing)
}

package session

import "testing"

func TestMarks(t *testing.T) {
	const last = 1<<47 - 1
	marks := []uint64{0, MarkHere(1), MarkThere(1, 0), MarkThere(1, 65535), MarkHere(2), MarkHere(last), MarkThere(last, 65535)}
	for i := 1; i < len(marks); i++ {
		if marks[i] <= marks[i-1] {
			t.Errorf("mark %d, %x, is not above %x", i, marks[i], marks[i-1])
		}
	}
	for _, mark := range marks[5:] {
		if MarkVersion(mark) != last {
			t.Errorf("%x has version %d", mark, MarkVersion(mark))
		}
	}
}

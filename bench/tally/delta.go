package tally

import (
	"encoding/json"
	"fmt"
)

// Delta is a tally on its way to the process that adds them up. A loop says one four times
// a second, on a core that it often shares with whoever packs and reads it: HdrHistogram's own
// encoding took 20 ms of that core each time, in which nothing was sent.
type Delta struct {
	*Tally // without its timings, once it was read

	packed map[Timer][]byte // timings as they came
}

// deltaJSON is a delta on the wire. Its timings hide the tally's.
type deltaJSON struct {
	*Tally
	Timings map[Timer][]byte `json:"timings,omitempty"`
}

// MarshalJSON packs the tally, which must not change meanwhile.
func (d Delta) MarshalJSON() ([]byte, error) {
	packed := map[Timer][]byte{}
	for timer, h := range d.Tally.Timings {
		if h != nil && h.Count() > 0 {
			packed[Timer(timer)] = h.appendPacked(nil)
		}
	}
	return json.Marshal(deltaJSON{Tally: d.Tally, Timings: packed})
}

// UnmarshalJSON reads what MarshalJSON wrote; MergeDelta finds out whether the timings make
// sense.
func (d *Delta) UnmarshalJSON(data []byte) error {
	read := deltaJSON{Tally: &Tally{}}
	if err := json.Unmarshal(data, &read); err != nil {
		return fmt.Errorf("tally: %w", err)
	}
	d.Tally, d.packed = read.Tally, read.Timings
	return nil
}

// MergeDelta adds a delta that was read. After an error some of it may have been added.
func (t *Tally) MergeDelta(d Delta) error {
	t.Merge(d.Tally)
	for timer, packed := range d.packed {
		if timer >= timerCount {
			return fmt.Errorf("tally: there is no timer %d", timer)
		}
		if t.Timings[timer] == nil {
			t.Timings[timer] = NewHistogram()
		}
		if err := t.Timings[timer].mergePacked(packed); err != nil {
			return err
		}
	}
	return nil
}

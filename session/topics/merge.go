package topics

import (
	"slices"

	"github.com/roostpush/roost/session"
)

// slackMS is how far the clocks of two nodes may be apart, together with the time that a
// message takes between them. A node that does not know the message of a since sends what
// is at most that much older than it: rather twice than not at all.
const slackMS = 2000

// merge makes one of what several nodes keep of some topics since a message. A topic has
// one home, and had another one before the members changed, so hardly ever more than one of
// them has that message and can say what came after it; of the others it is what was sent
// later, by their clocks. What each of them has stays in the order in which it was kept there.
func merge(list []Replay) (p Replay) {
	if len(list) == 1 {
		return list[0]
	}
	for _, one := range list {
		if one.Found {
			p.Found, p.FoundMS = true, max(p.FoundMS, one.FoundMS)
		}
	}
	p.Complete = p.Found
	rests := make([][]*Retained, 0, len(list))
	for _, one := range list {
		since := p.FoundMS - slackMS
		switch {
		case one.Found:
			p.Complete = p.Complete && one.Complete
		case one.GoneMS > 0 && one.GoneMS >= since:
			p.Complete = false
		}
		p.GoneMS = max(p.GoneMS, one.GoneMS)
		if !one.Found && p.Found {
			one.Messages = slices.DeleteFunc(slices.Clone(one.Messages), func(m *Retained) bool { return m.SentMS < since })
		}
		rests = append(rests, one.Messages)
	}
	p.Messages = zip(rests)
	return p
}

// zip makes one of several lists, which it uses up: always the first message of one of them, that
// which was sent before the others', and each once.
func zip(rests [][]*Retained) (all []*Retained) {
	seen := map[session.ID]bool{}
	for {
		first := -1
		for i, rest := range rests {
			if len(rest) > 0 && (first < 0 || rest[0].SentMS < rests[first][0].SentMS) {
				first = i
			}
		}
		if first < 0 {
			return all
		}
		m := rests[first][0]
		rests[first] = rests[first][1:]
		if id := (session.ID{Origin: m.Origin, Number: m.ID}); !seen[id] {
			seen[id] = true
			all = append(all, m)
		}
	}
}

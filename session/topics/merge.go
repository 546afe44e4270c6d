package topics

import (
	"cmp"
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
// later, by their clocks.
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
	seen := map[session.ID]bool{}
	for _, one := range list {
		since := p.FoundMS - slackMS
		switch {
		case one.Found:
			p.Complete = p.Complete && one.Complete
		case one.GoneMS > 0 && one.GoneMS >= since:
			p.Complete = false
		}
		p.GoneMS = max(p.GoneMS, one.GoneMS)
		for _, m := range one.Messages {
			id := session.ID{Origin: m.Origin, Number: m.ID}
			if (one.Found || !p.Found || m.SentMS >= since) && !seen[id] {
				seen[id] = true
				p.Messages = append(p.Messages, m)
			}
		}
	}
	slices.SortStableFunc(p.Messages, func(a, b *Retained) int { return cmp.Compare(a.SentMS, b.SentMS) })
	return p
}

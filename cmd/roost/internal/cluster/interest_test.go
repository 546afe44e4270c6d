package cluster

import (
	"fmt"
	"slices"
	"testing"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/topics"
	"github.com/roostpush/roost/session/wire"
)

// alone has no other node to wait for.
type alone struct{}

func (alone) Home(string) (string, bool)                                  { return "", true }
func (alone) Told(f func(bool))                                           { f(true) }
func (alone) Ask(_ []string, _ session.ID, f func([]topics.Replay, bool)) { f(nil, false) }

// TestTellingGoesOn where a link had no room: everything is more than a link's queue takes, and
// what changes meanwhile comes behind it.
func TestTellingGoesOn(t *testing.T) {
	const patterns = 10_000 // some 15 frames
	c := &Cluster{}
	c.telling.init()
	c.node.Topics = topics.New(topics.Default(), true, nil, alone{})
	subscribe := func(topic string, device int) {
		f := wire.DeviceFrame{Type: wire.FrameSubscribe, Topics: [][]byte{[]byte(topic)}}
		c.node.Topics.Subscribe(nil, session.New("a", fmt.Sprint(device)), &f)
	}
	for i := range patterns {
		subscribe(fmt.Sprintf("a-topic-with-a-name-of-some-length.%d", i), i)
	}
	other := topics.New(topics.Default(), true, nil, alone{})
	room, frames, wholes := 0, 0, 0
	c.telling.send = func(_ string, _ wire.LinkType, body []byte) bool {
		if room--; room < 0 {
			return false
		}
		var i wire.Interest
		if err := wire.ParseInterest(slices.Clone(body), &i); err != nil {
			t.Fatal(err)
		}
		if frames++; i.Begin {
			wholes++
		}
		other.Interested("n1", &i)
		return true
	}
	c.telling.linked("n2")
	l := c.telling.links["n2"]
	for round := 0; !l.knows; round++ {
		if round == 20 {
			t.Fatalf("%d frames in 20 rounds, and it begins anew for the %dth time", frames, wholes)
		}
		room = 2
		changes, whole := c.node.Topics.TakeChanges(nil)
		c.tellAll(changes, whole)
		if round == 1 {
			subscribe("came.meanwhile", patterns)
		}
	}
	if s := other.Stats(); wholes != 1 || s.Interests != patterns+1 {
		t.Errorf("it was told everything %d times, and knows %d of %d", wholes, s.Interests, patterns+1)
	}
	if got := other.AppendNodes(nil, "came.meanwhile"); !slices.Contains(got, "n1") {
		t.Error("what changed meanwhile is not known")
	}
	// A change that its link has no room for is no reason to say everything again.
	subscribe("comes.later", patterns+1)
	for _, room = range []int{0, 1} {
		changes, whole := c.node.Topics.TakeChanges(nil)
		c.tellAll(changes, whole)
	}
	if got := other.AppendNodes(nil, "comes.later"); !l.knows || wholes != 1 || !slices.Contains(got, "n1") {
		t.Errorf("it knows: %v; told everything %d times", l.knows, wholes)
	}
}

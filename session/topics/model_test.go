package topics

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// matches is the naive matcher: segment by segment, as PROTOCOL.md describes a pattern.
func matches(pattern, topic string) bool {
	p, t := strings.Split(pattern, "."), strings.Split(topic, ".")
	for i, segment := range p {
		if segment == "*" {
			return len(t) > i
		}
		if i >= len(t) || t[i] != segment {
			return false
		}
	}
	return len(p) == len(t)
}

var topicNames = rapid.Custom(func(t *rapid.T) string {
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "ab", "c-d", "_"}), 1, 4).Draw(t, "segments"), ".")
})

var patternNames = rapid.Custom(func(t *rapid.T) string {
	topic := topicNames.Draw(t, "topic")
	if rapid.Bool().Draw(t, "below") {
		return topic + ".*"
	}
	return topic
})

func TestCoversModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern, topic := patternNames.Draw(t, "pattern"), topicNames.Draw(t, "topic")
		if got, want := Covers(pattern, topic), matches(pattern, topic); got != want {
			t.Fatalf("Covers(%s, %s) is %v", pattern, topic, got)
		}
		var keys []string
		eachKey(topic, func(key string) bool { keys = append(keys, key); return true })
		if got := slices.Contains(keys, keyOf(pattern)); got != matches(pattern, topic) {
			t.Fatalf("%s is found by %v, the key of %s is %s", topic, keys, pattern, keyOf(pattern))
		}
	})
}

// TestSubscriptionsModel plays random frames against sets of patterns, and keeps a set by
// what other nodes would be told.
func TestSubscriptionsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := newNode(true, elsewhere{}, func(c *Config) { c.SessionSubscriptionsMax = 5 })
		model := map[*session.Session]map[string]bool{}
		var sessions []*session.Session
		for i := range 6 {
			sessions = append(sessions, n.open(fmt.Sprint(i)))
			model[sessions[i]] = map[string]bool{}
		}
		some := rapid.SampledFrom(sessions)
		told := map[string]bool{}
		frameOf := func(t *rapid.T) *wire.DeviceFrame {
			f := &wire.DeviceFrame{}
			for _, p := range rapid.SliceOfN(patternNames, 1, 3).Draw(t, "patterns") {
				f.Topics = append(f.Topics, []byte(p))
			}
			return f
		}
		t.Repeat(map[string]func(*rapid.T){
			"subscribe": func(t *rapid.T) {
				s, f := some.Draw(t, "session"), frameOf(t)
				n.Subscribe(nil, s, f)
				for _, p := range f.Topics {
					if len(model[s]) < 5 {
						model[s][string(p)] = true
					}
					clear(p) // it was borrowed
				}
			},
			"unsubscribe": func(t *rapid.T) {
				s, f := some.Draw(t, "session"), frameOf(t)
				if own := slices.Sorted(maps.Keys(model[s])); len(own) > 0 {
					f.Topics = append(f.Topics, []byte(rapid.SampledFrom(own).Draw(t, "own")))
				}
				n.Unsubscribe(nil, s, f)
				for _, p := range f.Topics {
					delete(model[s], string(p))
				}
			},
			"forget": func(t *rapid.T) {
				s := some.Draw(t, "session")
				n.Forget(s)
				clear(model[s])
			},
			"publish": func(t *rapid.T) {
				topic := topicNames.Draw(t, "topic")
				got := n.Publish(nil, origin, &session.Message{Topic: topic})
				want := map[*session.Session]bool{}
				for s, patterns := range model {
					for p := range patterns {
						if matches(p, topic) {
							want[s] = true
						}
					}
				}
				for i, s := range got {
					if !want[s] || slices.Contains(got[:i], s) {
						t.Fatalf("%s goes to %s, too", topic, s.Device)
					}
				}
				if len(got) != len(want) {
					t.Fatalf("%s goes to %d, want %d", topic, len(got), len(want))
				}
			},
			"": func(t *rapid.T) {
				all, length := map[string]bool{}, 0
				for _, patterns := range model {
					maps.Copy(all, patterns)
					length += len(patterns)
				}
				list, whole := n.TakeChanges(nil)
				for _, c := range list {
					if told[c.Pattern] != c.Lost {
						t.Fatalf("%+v is told, and was so before", c)
					}
					if told[c.Pattern] = true; c.Lost {
						delete(told, c.Pattern)
					}
				}
				if !maps.Equal(told, all) || whole {
					t.Fatalf("told are %v, there are %v", told, all)
				}
				if len(n.AppendInterest(nil)) != len(all) || n.subs.length != length {
					t.Fatalf("%d subscriptions, want %d", n.subs.length, length)
				}
			},
		})
	})
}

// TestInterestsModel says to one node what others have, by wholes and changes, and asks
// for nodes by topic.
func TestInterestsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var x interests
		limit := rapid.SampledFrom([]int{3, 1000}).Draw(t, "limit")
		x.init(limit)
		nodes := []string{"n1", "n2", "n3"}
		model := map[string]map[string]bool{}
		for _, n := range nodes {
			model[n] = map[string]bool{}
		}
		some := rapid.SampledFrom(nodes)
		t.Repeat(map[string]func(*rapid.T){
			"whole": func(t *rapid.T) {
				node := some.Draw(t, "node")
				patterns := rapid.SliceOfNDistinct(patternNames, 0, 6, rapid.ID[string]).Draw(t, "patterns")
				cut := rapid.IntRange(0, len(patterns)).Draw(t, "cut")
				first, second := &wire.Interest{Begin: true}, &wire.Interest{Last: true}
				for i, p := range patterns {
					if c := (wire.InterestChange{Pattern: p}); i < cut {
						first.Changes = append(first.Changes, c)
					} else {
						second.Changes = append(second.Changes, c)
					}
				}
				x.apply(node, first)
				for p := range model[node] { // nothing is missed while it is said again
					if topic := strings.TrimSuffix(p, ".*") + ".a"; matches(p, topic) && !slices.Contains(x.append(nil, 0, topic), node) {
						t.Fatalf("%s is not among the nodes of %s in between", node, topic)
					}
				}
				x.apply(node, second)
				model[node] = map[string]bool{}
				for _, p := range patterns {
					model[node][p] = true
				}
			},
			"change": func(t *rapid.T) {
				node, c := some.Draw(t, "node"), wire.InterestChange{Pattern: patternNames.Draw(t, "pattern"), Lost: rapid.Bool().Draw(t, "lost")}
				x.apply(node, &wire.Interest{Changes: []wire.InterestChange{c}})
				if model[node][c.Pattern] = true; c.Lost {
					delete(model[node], c.Pattern)
				}
			},
			"forget": func(t *rapid.T) {
				node := some.Draw(t, "node")
				x.forget(node)
				clear(model[node])
			},
			"": func(t *rapid.T) {
				topic := topicNames.Draw(t, "topic")
				got := x.append([]string{"n1"}, 1, topic)[1:]
				for i, node := range got {
					if slices.Contains(got[:i], node) {
						t.Fatalf("%s twice", node)
					}
				}
				for _, node := range nodes {
					want := false
					for p := range model[node] {
						want = want || matches(p, topic)
					}
					there := slices.Contains(got, node)
					if want && !there || there && !want && limit > 10 {
						t.Fatalf("%s: %s is among the nodes: %v, want %v", topic, node, there, want)
					}
				}
				nodes, keys, everything := x.count()
				if limit > 10 && (everything != 0 || int(keys) != len(model["n1"])+len(model["n2"])+len(model["n3"])) {
					t.Fatalf("%d keys of %d nodes, %d get everything", keys, nodes, everything)
				}
			},
		})
		for _, n := range nodes {
			x.forget(n)
		}
		if len(x.keys)+len(x.nodes)+len(x.all) != 0 {
			t.Fatalf("something is left: %v", x.keys)
		}
	})
}

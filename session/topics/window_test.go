package topics

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/roostpush/roost/session"
)

// published is one message of the model.
type published struct {
	id     session.MessageID
	topic  string
	atMS   int64
	number int
}

// TestWindowModel keeps everything that was ever published, and holds against it what the
// window says: what it has is in order and right, what it lacks it says it lacks, and it
// stays within its limits.
func TestWindowModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := Default().Window
		cfg.Topics, cfg.Messages, cfg.Age = rapid.IntRange(1, 4).Draw(t, "topics"), rapid.IntRange(1, 5).Draw(t, "messages"), time.Second
		cfg.TopicBytes = rapid.IntRange(1024, 2048).Draw(t, "topic bytes")
		cfg.Bytes = cfg.TopicBytes + rapid.IntRange(0, 3000).Draw(t, "bytes")
		w := &window{cfg: cfg}
		var ever []published
		now := int64(0)
		t.Repeat(map[string]func(*rapid.T){
			"publish": func(t *rapid.T) {
				p := published{session.MessageID(len(ever) + 1), topicNames.Draw(t, "topic"), now, len(ever)}
				w.add(newRetained(origin, &session.Message{ID: p.id, Topic: p.topic, SentMS: now, Payload: make([]byte, rapid.IntRange(0, 600).Draw(t, "size"))}))
				ever = append(ever, p)
			},
			"time": func(t *rapid.T) {
				now += rapid.Int64Range(0, 800).Draw(t, "ms")
				w.tick(now)
			},
			"since": func(t *rapid.T) {
				patterns := rapid.SliceOfN(patternNames, 1, 3).Draw(t, "patterns")
				id := session.ID{Origin: origin, Number: session.MessageID(rapid.IntRange(0, len(ever)+1).Draw(t, "since"))}
				most := rapid.IntRange(1, 20).Draw(t, "most")
				p := w.since(patterns, id, most, 1<<20)
				var want []session.MessageID // if nothing were ever dropped
				for _, m := range ever {
					if m.id > id.Number && coversAny(patterns, m.topic) {
						want = append(want, m.id)
					}
				}
				var got []session.MessageID
				for _, m := range p.Messages {
					got = append(got, m.ID)
					if !coversAny(patterns, m.Topic) || ever[m.ID-1].atMS < now-1000 {
						t.Fatalf("%v: %d of %s at %d is sent at %d", patterns, m.ID, m.Topic, ever[m.ID-1].atMS, now)
					}
				}
				if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) < len(got) || len(got) > most {
					t.Fatalf("%v: %d at most", got, most)
				}
				if p.Complete && (!p.Found || !slices.Equal(got, want)) {
					t.Fatalf("it is called complete: %v, want %v (%+v)", got, want, p)
				}
				if p.Found {
					for _, id := range got {
						if !slices.Contains(want, id) {
							t.Fatalf("%d was before", id)
						}
					}
				}
				for _, id := range want { // what is missing is not newer than what it says is gone
					if m := ever[id-1]; !slices.Contains(got, id) && m.atMS > p.GoneMS {
						t.Fatalf("%d of %d ms is missing, gone is what is up to %d", id, m.atMS, p.GoneMS)
					}
				}
			},
			"": func(t *rapid.T) {
				size, length := 0, 0
				for i, x := range w.topics {
					if i > 0 && w.topics[i-1].topic >= x.topic || len(x.messages) > cfg.Messages || x.size > cfg.TopicBytes {
						t.Fatalf("topic %s: %d messages of %d bytes", x.topic, len(x.messages), x.size)
					}
					for _, m := range x.messages {
						size += m.size()
						length++
					}
				}
				if size != w.size || length != w.length || w.size > cfg.Bytes || len(w.topics) > cfg.Topics {
					t.Fatalf("%d topics, %d messages of %d bytes, it says %d of %d", len(w.topics), length, size, w.length, w.size)
				}
			},
		})
		w.tick(now + 2001)
		if w.first != nil || w.last != nil || w.size+w.length+len(w.topics) != 0 {
			t.Fatalf("something stays for ever: %d topics, %d bytes", len(w.topics), w.size)
		}
	})
}

// What was kept of one topic says nothing of another: a topic that is there is complete
// although others were dropped.
func TestWindowOfOneTopicIsComplete(t *testing.T) {
	cfg := Default().Window
	cfg.Topics = 2
	w := &window{cfg: cfg}
	for i, topic := range []string{"a", "b", "a", "c", "a"} {
		w.add(newRetained(origin, &session.Message{ID: session.MessageID(i + 1), Topic: topic}))
	}
	first := session.ID{Origin: origin, Number: 1}
	for patterns, want := range map[string]string{"a": "true 2", "c": "false 1", "b": "false 0", "a.*": "false 0"} {
		p := w.since([]string{patterns}, first, 10, 1<<20)
		if got := fmt.Sprint(p.Complete, " ", len(p.Messages)); got != want {
			t.Errorf("%s: %s, want %s", patterns, got, want)
		}
	}
}

func TestMerge(t *testing.T) {
	message := func(id int, ms int64) *Retained {
		return &Retained{Origin: origin, Message: session.Message{ID: session.MessageID(id), SentMS: ms}}
	}
	knows := Replay{Found: true, Complete: true, FoundMS: 10_000, Messages: []*Retained{message(2, 10_500), message(4, 12_000)}}
	for _, tc := range []struct {
		name  string
		other Replay
		want  string
	}{
		{"nothing there", Replay{}, "true 2 4"},
		{"older ones are left out", Replay{Messages: []*Retained{message(1, 7_999), message(3, 11_000)}, GoneMS: 7_999}, "true 2 3 4"},
		{"those about as old are not", Replay{Messages: []*Retained{message(1, 8_000)}}, "true 1 2 4"},
		{"twice", Replay{Messages: []*Retained{message(4, 12_000)}}, "true 2 4"},
		{"something may be missing", Replay{GoneMS: 8_000}, "false 2 4"},
	} {
		p := merge([]Replay{tc.other, knows})
		got := fmt.Sprint(p.Complete)
		for _, m := range p.Messages {
			got += fmt.Sprint(" ", m.ID)
		}
		if got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
	if p := merge([]Replay{{Messages: []*Retained{message(2, 2)}}, {Messages: []*Retained{message(1, 1)}}}); p.Complete || len(p.Messages) != 2 || p.Messages[0].ID != 1 {
		t.Errorf("nobody knows it: %+v", p)
	}
}

package redis

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/roostpush/roost/session"
)

func drawKept(t *rapid.T) session.Kept {
	name := rapid.StringMatching(`[a-zé]{1,20}`)
	k := session.Kept{
		ID:        session.ID{Origin: session.Origin{Node: rapid.SampledFrom([]string{"n1", "n2", "a-1"}).Draw(t, "node"), Epoch: rapid.Uint64().Draw(t, "epoch")}},
		Kind:      rapid.SampledFrom([]session.Kind{session.JSON, session.Text, session.Binary}).Draw(t, "kind"),
		Payload:   rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(t, "payload"),
		SentMS:    rapid.Int64().Draw(t, "sent"),
		ExpiresMS: rapid.Int64().Draw(t, "expires"),
		Priority:  rapid.SampledFrom([]session.Priority{session.PriorityNormal, session.PriorityHigh, session.PriorityLow}).Draw(t, "priority"),
		First:     rapid.Bool().Draw(t, "first"),
	}
	k.Number = session.MessageID(rapid.Uint64().Draw(t, "number"))
	for _, s := range []*string{&k.From, &k.Collapse, &k.Trace} {
		if rapid.Bool().Draw(t, "set") {
			*s = name.Draw(t, "string")
		}
	}
	return k
}

func TestParseIsTheInverseOfAppend(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawKept(t)
		var got session.Kept
		if err := parseMember(string(appendMember(nil, &want)), &got); err != nil {
			t.Fatal(err)
		}
		if err := parseMessage(appendMessage(nil, &want), &got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	})
}

// FuzzParse wants garbage to be an error, or to be what append makes.
func FuzzParse(f *testing.F) {
	k := session.Kept{ID: session.ID{Origin: session.Origin{Node: "n1", Epoch: 3}, Number: 7}, Collapse: "k", From: "d", ExpiresMS: 1 << 40}
	f.Add(string(appendMember(nil, &k)), appendMessage(nil, &k))
	f.Add("", []byte{layout})
	f.Fuzz(func(t *testing.T, member string, message []byte) {
		var k, again session.Kept
		if parseMember(member, &k) != nil || parseMessage(message, &k) != nil {
			return
		}
		if parseMember(string(appendMember(nil, &k)), &again) != nil || parseMessage(appendMessage(nil, &k), &again) != nil || !reflect.DeepEqual(k, again) {
			t.Errorf("%+v became %+v", k, again)
		}
	})
}

func TestValidate(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Config){
		"url":              func(c *Config) { c.URL = "http://x" },
		"prefix":           func(c *Config) { c.Prefix = "a b" },
		"durability":       func(c *Config) { c.Durability = "some" },
		"queue_max":        func(c *Config) { c.QueueMax = 0 },
		"retention":        func(c *Config) { c.Retention = 0 },
		"replicas_timeout": func(c *Config) { c.ReplicasMin, c.ReplicasTimeout = 1, c.CallTimeout },
	} {
		cfg := Default()
		change(&cfg)
		if err := cfg.Validate(); err == nil {
			t.Errorf("%s: no error", name)
		} else {
			t.Log(err)
		}
	}
}

package processor

import (
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/roostpush/roost/session"
)

const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// pairs are names and values by turns.
func pairs(all ...string) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for pair := range slices.Chunk(all, 2) {
			if !yield(pair[0], pair[1]) {
				return
			}
		}
	}
}

func TestParseHeaders(t *testing.T) {
	for name, c := range map[string]struct {
		headers []string
		payload string
		want    Record
	}{
		"device":                {[]string{"roost-account", "alice", "roost-device", "tv"}, "\xff", Record{Account: "alice", Device: "tv", Kind: session.Binary}},
		"account":               {[]string{"roost-account", "alice"}, "", Record{Account: "alice", Kind: session.Binary}},
		"topic":                 {[]string{"roost-topic", "news.sport"}, "", Record{Topic: "news.sport", Kind: session.Binary}},
		"everything":            {[]string{"roost-account", "a", "roost-id", "1", "roost-ttl-ms", "60000", "roost-priority", "high", "content-type", "application/json", "traceparent", trace}, `{"a":1}`, Record{Account: "a", ID: "1", TTLMS: 60000, Priority: session.PriorityHigh, Trace: trace}},
		"names in any case":     {[]string{"Roost-Account", "a", "Content-Type", "text/plain"}, "ä", Record{Account: "a", Kind: session.Text}},
		"json with a parameter": {[]string{"roost-account", "a", "content-type", "application/JSON; charset=utf-8"}, "7", Record{Account: "a"}},
		"event":                 {[]string{"ce_specversion", "1.0", "ce_type", "x", "ce_source", "/shop", "ce_id", "1", "ce_subject", "alice/tv", "content-type", "application/json"}, "{}", Record{Account: "alice", Device: "tv", ID: "1", IDScope: "/shop"}},
		"event over NATS":       {[]string{"ce-source", "/shop", "ce-id", "1", "ce-subject", "alice/tv"}, "", Record{Account: "alice", Device: "tv", ID: "1", IDScope: "/shop", Kind: session.Binary}},
		"ours before an event's": {[]string{"ce_source", "/shop", "ce_id", "1", "ce_subject", "not an address", "roost-account", "a", "roost-id", "2"}, "",
			Record{Account: "a", ID: "2", Kind: session.Binary}},
		"an event without an id":   {[]string{"ce_source", "/shop", "roost-account", "a"}, "", Record{Account: "a", Kind: session.Binary}},
		"twice the same":           {[]string{"roost-account", "a", "roost-account", "a"}, "", Record{Account: "a", Kind: session.Binary}},
		"a second trace counts":    {[]string{"roost-account", "a", "traceparent", "x", "traceparent", trace}, "", Record{Account: "a", Kind: session.Binary, Trace: trace}},
		"a bad trace is ignored":   {[]string{"roost-account", "a", "traceparent", "x"}, "", Record{Account: "a", Kind: session.Binary}},
		"what nobody here knows":   {[]string{"roost-account", "a", "roost-colour", "red", "x", "y", "", ""}, "", Record{Account: "a", Kind: session.Binary}},
		"the topic's own priority": {[]string{"roost-account", "a"}, "", Record{Account: "a", Kind: session.Binary, Priority: session.PriorityLow}},
		"longest ttl":              {[]string{"roost-account", "a", "roost-ttl-ms", "2147483648000"}, "", Record{Account: "a", Kind: session.Binary, TTLMS: 2147483648000}},
	} {
		t.Run(name, func(t *testing.T) {
			got := Record{Payload: []byte(c.payload), Priority: c.want.Priority}
			if c.want.Priority == session.PriorityHigh {
				got.Priority = session.PriorityLow // the header's counts
			}
			if why := ParseHeaders(&got, pairs(c.headers...)); why != nil {
				t.Fatal(why)
			}
			if string(got.Payload) != c.payload {
				t.Errorf("payload is %q", got.Payload)
			}
			if got.Payload = nil; !equal(got, c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func equal(a, b Record) bool {
	return a.Account == b.Account && a.Device == b.Device && a.Topic == b.Topic && a.ID == b.ID && a.IDScope == b.IDScope &&
		a.TTLMS == b.TTLMS && a.Kind == b.Kind && a.Priority == b.Priority && a.Trace == b.Trace && a.Key == b.Key && string(a.Payload) == string(b.Payload)
}

func TestParseHeadersNamesTheFault(t *testing.T) {
	ok := []string{"roost-account", "a"}
	for name, c := range map[string]struct {
		headers      []string
		payload      string
		code, detail string
	}{
		"nothing":                  {nil, "", CodeAddressMissing, "send roost-account"},
		"a device alone":           {[]string{"roost-device", "d"}, "", CodeAddressMissing, "roost-account is not: send both"},
		"account and topic":        {[]string{"roost-account", "a", "roost-topic", "t"}, "", CodeAddressTwice, "roost-account and roost-topic"},
		"device and topic":         {[]string{"roost-device", "d", "roost-topic", "t"}, "", CodeAddressTwice, "roost-device and roost-topic"},
		"two accounts":             {[]string{"roost-account", "a", "roost-account", "b"}, "", CodeHeaderRepeated, `"a" and "b"`},
		"empty account":            {[]string{"roost-account", ""}, "", CodeAccountInvalid, "roost-account: account is missing"},
		"account with a space":     {[]string{"roost-account", "a b"}, "", CodeAccountInvalid, "at byte 1"},
		"account too long":         {[]string{"roost-account", strings.Repeat("a", 129)}, "", CodeAccountInvalid, "at most 128"},
		"device with a slash":      {[]string{"roost-account", "a", "roost-device", "x/y"}, "", CodeDeviceInvalid, "roost-device"},
		"empty device":             {[]string{"roost-account", "a", "roost-device", ""}, "", CodeDeviceInvalid, "leave it out"},
		"topic with a hole":        {[]string{"roost-topic", "a..b"}, "", CodeTopicInvalid, "roost-topic"},
		"topic that is a pattern":  {[]string{"roost-topic", "a.*"}, "", CodeTopicInvalid, "roost-topic"},
		"subject without a device": {[]string{"ce_subject", "alice"}, "", CodeSubjectInvalid, "write it account/device"},
		"empty id":                 {append(ok, "roost-id", ""), "", CodeIDInvalid, "roost-id"},
		"id too long":              {append(ok, "ce_id", strings.Repeat("x", 129)), "", CodeIDInvalid, "ce_id"},
		"id with a line break":     {append(ok, "roost-id", "a\nb"), "", CodeIDInvalid, "control characters"},
		"negative ttl":             {append(ok, "roost-ttl-ms", "-1"), "", CodeTTLInvalid, `"-1": whole milliseconds from 0 to 2147483648000`},
		"ttl beyond the cap":       {append(ok, "roost-ttl-ms", "2147483648001"), "", CodeTTLInvalid, "2147483648000"},
		"ttl beyond every number":  {append(ok, "roost-ttl-ms", "99999999999999999999"), "", CodeTTLInvalid, "roost-ttl-ms"},
		"ttl in words":             {append(ok, "roost-ttl-ms", "1h"), "", CodeTTLInvalid, "whole milliseconds"},
		"empty ttl":                {append(ok, "roost-ttl-ms", ""), "", CodeTTLInvalid, "roost-ttl-ms"},
		"unknown priority":         {append(ok, "roost-priority", "urgent"), "", CodePriorityUnknown, "high, normal and low"},
		"content-type":             {append(ok, "content-type", "/;"), "", CodeContentType, "cannot be read"},
		"json that is none":        {append(ok, "content-type", "application/json"), `{"a":}`, CodePayloadInvalid, "at byte 5"},
		"json that is empty":       {append(ok, "content-type", "application/json"), "", CodePayloadInvalid, "ends before"},
		"json in Latin-1":          {append(ok, "content-type", "application/json"), "\"\xe4\"", CodePayloadInvalid, "not UTF-8"},
		"text in Latin-1":          {append(ok, "content-type", "text/html"), "\xe4", CodePayloadInvalid, "text/html"},
	} {
		t.Run(name, func(t *testing.T) {
			r := Record{Payload: []byte(c.payload)}
			why := ParseHeaders(&r, pairs(c.headers...))
			if why == nil || why.Code != c.code || !strings.Contains(why.Detail, c.detail) {
				t.Errorf("%v, want %s with %q", why, c.code, c.detail)
			}
		})
	}
}

// FuzzParseHeaders holds that what is taken is a record that can be pushed.
func FuzzParseHeaders(f *testing.F) {
	f.Add("roost-account", "a", "roost-device", "d", "content-type", "application/json", []byte(`{"a":1}`))
	f.Add("ce_subject", "a/d", "ce-id", "1", "roost-ttl-ms", "10", []byte("x"))
	f.Add("roost-topic", "a.b", "roost-priority", "low", "traceparent", trace, []byte("x"))
	f.Fuzz(func(t *testing.T, n1, v1, n2, v2, n3, v3 string, payload []byte) {
		r := Record{Payload: payload}
		if why := ParseHeaders(&r, pairs(n1, v1, n2, v2, n3, v3)); why != nil {
			if why.Code == "" || why.Detail == "" {
				t.Fatalf("a reject without a reason: %v", why)
			}
			return
		}
		address := session.CheckName("account", r.Account) == nil && (r.Device == "" || session.CheckName("device", r.Device) == nil) && r.Topic == ""
		topic := r.Account == "" && r.Device == "" && session.CheckTopic(r.Topic) == nil
		if address == topic || r.TTLMS < 0 || int(r.Priority) >= session.PriorityCount {
			t.Fatalf("taken: %+v", r)
		}
	})
}

package wire

import (
	"reflect"
	"strings"
	"testing"

	"github.com/roostpush/roost/session"
)

const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

var pushFrames = []struct {
	name  string
	frame PushFrame
}{
	{"device", PushFrame{Account: []byte("alice"), Device: []byte("phone"), Payload: []byte(`{ "a" : 1 }`)}},
	{"account", PushFrame{Account: []byte("alice"), Payload: []byte(`null`), Wait: session.WaitAcked, TimeoutMS: 250}},
	{"topic", PushFrame{Topic: []byte("news.eu"), Payload: []byte(`1`), Priority: session.PriorityLow}},
	{"all", PushFrame{All: true, Payload: []byte(`1`), Wait: session.WaitNone, Priority: session.PriorityHigh}},
	{"everything", PushFrame{Account: []byte("a\"lice"), Device: []byte("phone"), Payload: []byte("a\nb"), Kind: session.Text,
		ID: []byte("order 17"), TTLMS: 86400000, TimeoutMS: 5000, Priority: session.PriorityHigh, Wait: session.WaitAcked, Collapse: []byte("cart_-9"), AcksFirst: true}},
	{"traced", PushFrame{Account: []byte("alice"), Payload: []byte(`1`), Trace: []byte(traceparent)}},
	{"empty", PushFrame{Account: []byte("alice"), Kind: session.Binary, Payload: []byte{}}},
	{"binary", PushFrame{Account: []byte("alice"), Device: []byte("phone"), Kind: session.Binary, Payload: []byte{0, 255}}},
}

func (p PushFrame) bare() PushFrame {
	p.top, p.to = reader{}, reader{}
	return p
}

func TestPushFrames(t *testing.T) {
	var p PushFrame
	for _, tc := range pushFrames {
		t.Run(tc.name, func(t *testing.T) {
			b := AppendPush(nil, &tc.frame)
			golden(t, "push/"+tc.name, b)
			if err := ParsePush(b, &p); err != nil {
				t.Fatal(err)
			}
			if got := p.bare(); !reflect.DeepEqual(got, tc.frame) {
				t.Errorf("\n got %+v\nwant %+v", got, tc.frame)
			}
		})
	}
}

func TestParsePushRefuses(t *testing.T) {
	const to = `{"to":{"account":"a","device":"d"},"payload":1,`
	for name, tc := range map[string]struct{ in, code, detail string }{
		"empty":            {``, CodeJSON, "object"},
		"cut":              {`{"to":{"account":"a"},"payload":`, CodeJSON, "ends before a value"},
		"no to":            {`{"payload":1}`, CodeMissing, "to is missing"},
		"to a string":      {`{"to":"a/d","payload":1}`, CodeValue, "to is not an object"},
		"to nobody":        {`{"to":{},"payload":1}`, CodeValue, "to is not one of"},
		"device alone":     {`{"to":{"device":"d"},"payload":1}`, CodeValue, "to is not one of"},
		"all false":        {`{"to":{"all":false},"payload":1}`, CodeValue, "to is not one of"},
		"all and account":  {`{"to":{"all":true,"account":"a"},"payload":1}`, CodeValue, "to is not one of"},
		"topic and device": {`{"to":{"topic":"t","device":"a"},"payload":1}`, CodeValue, "to is not one of"},
		"all a number":     {`{"to":{"all":1},"payload":1}`, CodeValue, "all is neither"},
		"topic a pattern":  {`{"to":{"topic":"a.*"},"payload":1}`, CodeValue, "topic"},
		"account not one":  {`{"to":{"account":"a/b"},"payload":1}`, CodeValue, "account"},
		"no payload":       {`{"to":{"account":"a"}}`, CodeMissing, "payload"},
		"two payloads":     {to + `"base64":""}`, CodeValue, "only one"},
		"empty id":         {to + `"id":""}`, CodeValue, "id is not 1 to 128"},
		"long id":          {to + `"id":"` + strings.Repeat("x", 129) + `"}`, CodeValue, "id is not 1 to 128"},
		"control in id":    {to + `"id":"a\nb"}`, CodeValue, "control"},
		"id a number":      {to + `"id":1}`, CodeValue, "not a string"},
		"negative ttl":     {to + `"ttl_ms":-1}`, CodeValue, "ttl_ms"},
		"ttl too long":     {to + `"ttl_ms":2147483648001}`, CodeValue, "ttl_ms"},
		"no time":          {to + `"timeout_ms":0}`, CodeValue, "timeout_ms"},
		"wait":             {to + `"wait":"queued"}`, CodeValue, "wait"},
		"wait a long word": {to + `"wait":"` + strings.Repeat("x", 17) + `"}`, CodeValue, "wait"},
		"priority":         {to + `"priority":"urgent"}`, CodeValue, "priority"},
		"acks":             {to + `"acks":"any"}`, CodeValue, "acks"},
		"collapse":         {to + `"collapse":"a b"}`, CodeValue, "collapse"},
		"collapse long":    {to + `"collapse":"` + strings.Repeat("x", 33) + `"}`, CodeValue, "collapse"},
	} {
		t.Run(name, func(t *testing.T) {
			err := ParsePush([]byte(tc.in), new(PushFrame))
			if codeOf(err) != tc.code || !strings.Contains(err.Error(), tc.detail) {
				t.Errorf("got %v, want %s: …%s…", err, tc.code, tc.detail)
			}
		})
	}
}

// FuzzPush is to ParsePush what FuzzDevice is to ParseDevice.
func FuzzPush(f *testing.F) {
	for _, tc := range pushFrames {
		f.Add(AppendPush(nil, &tc.frame))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var frame, again PushFrame
		if err := ParsePush(b, &frame); err != nil {
			if e, ok := err.(*Error); !ok || e.Offset < 0 || e.Offset > len(b) || e.Detail == "" {
				t.Fatalf("%q: %v", b, err)
			}
			return
		}
		checkAccepted(t, b, frame.Kind, frame.Payload)
		if frame.Payload == nil {
			t.Fatalf("%q was accepted without a payload", b)
		}
		written := AppendPush(nil, &frame)
		if err := ParsePush(written, &again); err != nil {
			t.Fatalf("%q written again is %q: %v", b, written, err)
		}
		if !reflect.DeepEqual(frame.bare(), again.bare()) {
			t.Fatalf("%q written again is %q", b, written)
		}
	})
}

func BenchmarkParsePush(b *testing.B) {
	in := []byte(`{"to":{"account":"account-1234","device":"living-room-tv"},"payload":{"command":"play","title":81234567,"position_ms":123456},"id":"order-17"}`)
	var p PushFrame
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		if err := ParsePush(in, &p); err != nil {
			b.Fatal(err)
		}
	}
}

// A traceparent that is not well-formed is ignored, and the push is not.
func TestPushWithoutATrace(t *testing.T) {
	for _, trace := range []string{`""`, `"00-"`, `"` + traceparent + `-x"`, `null`} {
		var f PushFrame
		if err := ParsePush([]byte(`{"to":{"account":"a"},"payload":1,"traceparent":`+trace+`}`), &f); err != nil || f.Trace != nil {
			t.Errorf("%s: %q %v", trace, f.Trace, err)
		}
	}
}

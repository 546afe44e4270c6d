package wire

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/roostpush/roost/session"
)

func list(s ...string) (l [][]byte) {
	for _, s := range s {
		l = append(l, []byte(s))
	}
	return l
}

var deviceFrames = []struct {
	name  string
	frame DeviceFrame
}{
	{"send", DeviceFrame{Type: FrameSend, Ref: []byte(`"s1"`), ToDevice: []byte("tv"), Payload: []byte(`{ "a" : 1 }`)}},
	{"send-others", DeviceFrame{Type: FrameSend, Ref: []byte(`7`), ToOthers: true, Payload: []byte(`[]`), TTLMS: 60000, Wait: session.WaitAcked}},
	{"send-account", DeviceFrame{Type: FrameSend, ToAccount: []byte("bob"), ToDevice: []byte(`a"b`), Payload: []byte(`null`)}},
	{"send-text", DeviceFrame{Type: FrameSend, ToDevice: []byte("tv"), Kind: session.Text, Payload: []byte("a\"\n\x01é")}},
	{"send-binary", DeviceFrame{Type: FrameSend, ToDevice: []byte("tv"), Kind: session.Binary, Payload: []byte{0, 1, 255}}},
	{"ack", DeviceFrame{Type: FrameAck, IDs: list("node-1.7.1", "node-1.7.2")}},
	{"devices", DeviceFrame{Type: FrameDevices, Ref: []byte(`"d"`)}},
	{"ping", DeviceFrame{Type: FramePing, Ref: []byte(`-1.5`)}},
	{"ping-bare", DeviceFrame{Type: FramePing}},
	{"token", DeviceFrame{Type: FrameToken, Token: []byte("aaa.bbb.ccc")}},
	{"subscribe", DeviceFrame{Type: FrameSubscribe, Ref: []byte(`1`), Topics: list("news.eu", "sport.*"), Presence: true, Since: []byte("node-1.7.1")}},
	{"unsubscribe", DeviceFrame{Type: FrameUnsubscribe, Ref: []byte(`1`), Topics: list("news.eu")}},
	{"unsubscribe-presence", DeviceFrame{Type: FrameUnsubscribe, Presence: true}},
}

// bare leaves out of a frame what is not its content.
func (f DeviceFrame) bare() DeviceFrame {
	f.top, f.to = reader{}, reader{}
	if len(f.IDs) == 0 {
		f.IDs = nil
	}
	if len(f.Topics) == 0 {
		f.Topics = nil
	}
	return f
}

func TestDeviceFrames(t *testing.T) {
	var f DeviceFrame
	for _, tc := range deviceFrames {
		t.Run(tc.name, func(t *testing.T) {
			b := AppendDevice(nil, &tc.frame)
			golden(t, "device/"+tc.name, b)
			if err := ParseDevice(b, &f); err != nil {
				t.Fatal(err)
			}
			if got := f.bare(); !reflect.DeepEqual(got, tc.frame) {
				t.Errorf("\n got %+v\nwant %+v", got, tc.frame)
			}
		})
	}
}

// TestParseDeviceReads is what a client may write otherwise than AppendDevice does.
func TestParseDeviceReads(t *testing.T) {
	send := DeviceFrame{Type: FrameSend, ToDevice: []byte("tv"), Payload: []byte(`1`)}
	for name, tc := range map[string]struct {
		in   string
		want DeviceFrame
	}{
		"escaped names":     {`{"\u0074ype":"s\u0065nd","to":{"devi\u0063e":"\u0074v"},"p\u0061yload":1}`, send},
		"white space":       {" {\n\"type\" :\t\"send\" , \"to\": { \"device\" : \"tv\" } ,\r\"payload\" : 1 } ", send},
		"unknown members":   {`{"x":{"type":"ack"},"type":"send","to":{"y":1,"device":"tv"},"payload":1,"":2,"\u0000":3}`, send},
		"null is absent":    {`{"type":"send","id":null,"to":{"device":"tv","devices":null,"account":null},"payload":1,"text":null,"wait":null,"ttl_ms":null}`, send},
		"the last counts":   {`{"type":7,"payload":{},"type":"send","to":[],"to":{"device":{},"device":"tv"},"payload":1}`, send},
		"other to's member": {`{"type":"send","to":{"account":"bob"},"to":{"device":"tv"},"payload":1}`, send},
		"surrogates":        {`{"type":"send","to":{"device":"\ud83d\ude00"},"payload":1}`, DeviceFrame{Type: FrameSend, ToDevice: []byte("😀"), Payload: []byte(`1`)}},
		"lone surrogate":    {`{"type":"send","to":{"device":"\ud83d!"},"payload":1}`, DeviceFrame{Type: FrameSend, ToDevice: []byte("\ufffd!"), Payload: []byte(`1`)}},
		"ref as written":    {`{"type":"ping","id":"\u0061"}`, DeviceFrame{Type: FramePing, Ref: []byte(`"\u0061"`)}},
		"deep payload":      {`{"type":"send","to":{"device":"tv"},"payload":` + strings.Repeat("[", DepthMax) + strings.Repeat("]", DepthMax) + `}`, DeviceFrame{Type: FrameSend, ToDevice: []byte("tv"), Payload: []byte(strings.Repeat("[", DepthMax) + strings.Repeat("]", DepthMax))}},
		"others' members":   {`{"type":"ping","ids":7,"to":[],"topics":{}}`, DeviceFrame{Type: FramePing}},
		"empty text":        {`{"type":"send","to":{"device":"tv"},"text":""}`, DeviceFrame{Type: FrameSend, ToDevice: []byte("tv"), Kind: session.Text, Payload: []byte{}}},
	} {
		t.Run(name, func(t *testing.T) {
			var f DeviceFrame
			if err := ParseDevice([]byte(tc.in), &f); err != nil {
				t.Fatal(err)
			}
			if got := f.bare(); !reflect.DeepEqual(got, tc.want) {
				t.Errorf("\n got %+v\nwant %+v", got, tc.want)
			}
		})
	}
}

func TestParseDeviceRefuses(t *testing.T) {
	long := strings.Repeat("x", 129)
	for name, tc := range map[string]struct {
		in, code, detail string
		at               int
		ref              string
	}{
		"empty":             {``, CodeJSON, "JSON object", 0, ""},
		"not an object":     {` "a"`, CodeJSON, "JSON object", 1, ""},
		"not JSON":          {`{"type":"ping","id":1,}`, CodeJSON, "name", 22, ""},
		"two texts":         {`{"type":"ping"} {}`, CodeJSON, "behind", 16, ""},
		"not UTF-8":         {"{\"type\":\"pi\xffng\"}", CodeJSON, "UTF-8", 11, ""},
		"too deep":          {`{"type":"ping","x":` + strings.Repeat("[", 600) + `}`, CodeDepth, "deeply", 19 + DepthMax, ""},
		"no type":           {`{"id":1}`, CodeMissing, "type", 0, "1"},
		"type not a string": {`{"id":1,"type":2}`, CodeValue, "type is not a string", 15, "1"},
		"unknown type":      {`{"id":"r","type":"push"}`, CodeType, `"push"`, 17, `"r"`},
		"server's type":     {`{"type":"hello"}`, CodeType, `"hello"`, 8, ""},
		"id an object":      {`{"id":{},"type":"ping"}`, CodeValue, "neither a string nor a number", 6, ""},
		"id too long":       {`{"id":"` + long + `","type":"ping"}`, CodeValue, "128 bytes", 6, ""},
		"no to":             {`{"type":"send","id":1,"payload":1}`, CodeMissing, "to is missing", 0, "1"},
		"to a string":       {`{"type":"send","to":"tv","payload":1}`, CodeValue, "to is not an object", 20, ""},
		"to nobody":         {`{"type":"send","to":{},"payload":1}`, CodeValue, "to is neither", 20, ""},
		"to both":           {`{"type":"send","to":{"device":"a","devices":"others"},"payload":1}`, CodeValue, "to is neither", 20, ""},
		"to all":            {`{"type":"send","to":{"devices":"all"},"payload":1}`, CodeValue, "others", 31, ""},
		"device not a name": {`{"type":"send","to":{"device":"a/b"},"payload":1}`, CodeValue, "'/'", 30, ""},
		"device empty":      {`{"type":"send","to":{"device":""},"payload":1}`, CodeValue, "device is missing", 30, ""},
		"device too long":   {`{"type":"send","to":{"device":"` + long + `"},"payload":1}`, CodeValue, "129 bytes", 30, ""},
		"device a number":   {`{"type":"send","to":{"device":1},"payload":1}`, CodeValue, "not a string", 30, ""},
		"account not one":   {`{"type":"send","to":{"account":"a b","device":"x"},"payload":1}`, CodeValue, "account", 31, ""},
		"no payload":        {`{"type":"send","to":{"device":"a"}}`, CodeMissing, "payload", 0, ""},
		"two payloads":      {`{"type":"send","to":{"device":"a"},"payload":1,"text":"x"}`, CodeValue, "only one", 0, ""},
		"text a number":     {`{"type":"send","to":{"device":"a"},"text":1}`, CodeValue, "text is not a string", 42, ""},
		"bad base64":        {`{"type":"send","to":{"device":"a"},"base64":"a"}`, CodeValue, "base64", 44, ""},
		"negative ttl":      {`{"type":"send","to":{"device":"a"},"payload":1,"ttl_ms":-1}`, CodeValue, "ttl_ms", 56, ""},
		"fraction ttl":      {`{"type":"send","to":{"device":"a"},"payload":1,"ttl_ms":1.0}`, CodeValue, "integer", 56, ""},
		"huge ttl":          {`{"type":"send","to":{"device":"a"},"payload":1,"ttl_ms":99999999999999999999}`, CodeValue, "integer", 56, ""},
		"ttl a string":      {`{"type":"send","to":{"device":"a"},"payload":1,"ttl_ms":"1"}`, CodeValue, "integer", 56, ""},
		"ttl true":          {`{"type":"send","to":{"device":"a"},"payload":1,"ttl_ms":true}`, CodeValue, "integer", 56, ""},
		"wait none":         {`{"type":"send","to":{"device":"a"},"payload":1,"wait":"none"}`, CodeValue, "wait", 54, ""},
		"no ids":            {`{"type":"ack"}`, CodeMissing, "ids", 0, ""},
		"empty ids":         {`{"type":"ack","ids":[]}`, CodeValue, "empty", 20, ""},
		"ids a string":      {`{"type":"ack","ids":"a"}`, CodeValue, "array", 20, ""},
		"ids of numbers":    {`{"type":"ack","ids":["a",1]}`, CodeValue, "strings", 25, ""},
		"id too long to be": {`{"type":"ack","ids":["` + strings.Repeat("x", 49) + `"]}`, CodeValue, "1 to 48", 21, ""},
		"too many ids":      {`{"type":"ack","ids":["a"` + strings.Repeat(`,"a"`, AckIDsMax) + `]}`, CodeValue, "1000", 20 + 4*AckIDsMax + 1, ""},
		"no token":          {`{"type":"token"}`, CodeMissing, "token", 0, ""},
		"no topics":         {`{"type":"subscribe"}`, CodeMissing, "topics", 0, ""},
		"bad topic":         {`{"type":"subscribe","topics":["a..b"]}`, CodeValue, "empty segment", 29, ""},
		"bad pattern":       {`{"type":"subscribe","topics":["a.*.b"]}`, CodeValue, "'*'", 29, ""},
		"pattern of all":    {`{"type":"subscribe","topics":["*"]}`, CodeValue, "'*'", 29, ""},
		"presence a string": {`{"type":"subscribe","presence":"yes"}`, CodeValue, "presence", 31, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var f DeviceFrame
			err := ParseDevice([]byte(tc.in), &f)
			e, ok := err.(*Error)
			if !ok {
				t.Fatalf("got %v", err)
			}
			if e.Code != tc.code || e.Offset != tc.at || !strings.Contains(e.Detail, tc.detail) {
				t.Errorf("got %v, want %s at %d: …%s…", e, tc.code, tc.at, tc.detail)
			}
			if string(f.Ref) != tc.ref {
				t.Errorf("ref is %s, want %s", f.Ref, tc.ref)
			}
			if !json.Valid(AppendError(nil, f.Ref, e.Code, e.Detail)) {
				t.Errorf("the answer to it is not JSON")
			}
		})
	}
}

// TestParseDeviceForgetsLargeScratch keeps a rare large frame from staying in every
// loop's memory.
func TestParseDeviceForgetsLargeScratch(t *testing.T) {
	var f DeviceFrame
	big := `{"type":"send","to":{"device":"tv"},"text":"\n` + strings.Repeat("x", 2*scratchBytesMax) + `"}`
	for _, in := range []string{big, `{"type":"ping"}`} {
		if err := ParseDevice([]byte(in), &f); err != nil {
			t.Fatal(err)
		}
	}
	if n := cap(f.top.scratch); n > scratchBytesMax {
		t.Errorf("%d bytes are kept", n)
	}
}

// FuzzDevice holds ParseDevice against encoding/json and against itself: what it
// accepts is JSON, has the payload byte for byte, and written again means the same.
func FuzzDevice(f *testing.F) {
	for _, tc := range deviceFrames {
		f.Add(AppendDevice(nil, &tc.frame))
	}
	f.Add([]byte(`{"\u0074ype":"send","to":{"device":"\ud83d\ude00"},"payload":{"a":[1,"x\n"]},"payload":2}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var frame, again DeviceFrame
		err := ParseDevice(b, &frame)
		if err != nil {
			e, ok := err.(*Error)
			if !ok || e.Offset < 0 || e.Offset > len(b) || e.Detail == "" {
				t.Fatalf("%q: %v", b, err)
			}
			if frame.Ref != nil && !json.Valid(frame.Ref) {
				t.Fatalf("%q: ref %q", b, frame.Ref)
			}
			return
		}
		members := checkAccepted(t, b, frame.Kind, frame.Payload)
		if got := fmt.Sprint(members["type"]); got != frame.Type.String() {
			t.Fatalf("%q: type %s, want %s", b, frame.Type, got)
		}
		written := AppendDevice(nil, &frame)
		if err := ParseDevice(written, &again); err != nil {
			t.Fatalf("%q written again is %q: %v", b, written, err)
		}
		if !reflect.DeepEqual(frame.bare(), again.bare()) {
			t.Fatalf("%q written again is %q", b, written)
		}
	})
}

// checkAccepted checks that what a parser accepted is an object to encoding/json,
// too, with that payload, and returns its members.
func checkAccepted(t *testing.T, b []byte, kind session.Kind, payload []byte) map[string]any {
	t.Helper()
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil {
		t.Fatalf("%q was accepted: %v", b, err)
	}
	members := map[string]any{}
	for name, v := range raw {
		var s any
		_ = json.Unmarshal(v, &s) // a number out of range stays nil; nothing here asks for it
		members[name] = s
	}
	if payload == nil {
		return members
	}
	var want []byte
	switch kind {
	case session.JSON:
		want = raw["payload"]
	case session.Text:
		want = fmt.Append(nil, members["text"])
	case session.Binary:
		if err := json.Unmarshal(raw["base64"], &want); err != nil {
			t.Fatalf("%q: %v", b, err)
		}
	}
	if string(want) != string(payload) {
		t.Fatalf("%q: payload %q, want %q", b, payload, want)
	}
	return members
}

func TestParseAllocatesNothing(t *testing.T) {
	var f DeviceFrame
	var p PushFrame
	m := session.Message{ID: 1 << 40, Payload: []byte(`{"a":1}`), From: "tv", SentMS: 1700000000000, Ack: true}
	room := make([]byte, 0, 4096)
	frames := [][]byte{[]byte(`{"\u0074ype":"send","id":1,"to":{"device":"t\u0076"},"text":"a\nb"}`)}
	for _, tc := range deviceFrames {
		frames = append(frames, AppendDevice(nil, &tc.frame))
	}
	pushes := [][]byte{}
	for _, tc := range pushFrames {
		pushes = append(pushes, AppendPush(nil, &tc.frame))
	}
	for name, fn := range map[string]func(){
		"ParseDevice": func() {
			for _, b := range frames {
				if err := ParseDevice(b, &f); err != nil {
					t.Fatal(err)
				}
			}
		},
		"ParsePush": func() {
			for _, b := range pushes {
				if err := ParsePush(b, &p); err != nil {
					t.Fatal(err)
				}
			}
		},
		"Append": func() {
			AppendMessage(room, origin, &m)
			AppendResult(room, []byte("1"), "written")
			AppendError(room, []byte("1"), CodeJSON, "it is \"broken\"")
			AppendHello(room, origin, &Hello{Account: "alice", Device: "tv"})
			AppendBase64(room, m.Payload)
		},
	} {
		fn()
		if n := testing.AllocsPerRun(100, fn); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkParseDevice(b *testing.B) {
	in := []byte(`{"type":"send","id":"abc-1","to":{"device":"living-room-tv"},"payload":{"command":"play","title":81234567,"position_ms":123456},"wait":"acked"}`)
	var f DeviceFrame
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		if err := ParseDevice(in, &f); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendMessage(b *testing.B) {
	m := session.Message{ID: 1 << 40, Payload: []byte(`{"command":"play","title":81234567,"position_ms":123456}`), From: "phone", SentMS: 1700000000000}
	room := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		AppendMessage(room, origin, &m)
	}
}

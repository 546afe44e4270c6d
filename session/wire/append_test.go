package wire

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/roostpush/roost/session"
)

var origin = session.Origin{Node: "node-1", Epoch: 7}

// serverFrames are all frames a node sends, with what a client reads of them.
var serverFrames = []struct {
	name string
	got  []byte
	want ServerFrame
}{
	{"hello", AppendHello(nil, origin, &Hello{Session: 1 << 28, Account: "alice", Device: `ph"one`, PingMS: 30000, MaxPayload: 65536, ExpiresMS: 1700000000000, Missed: 3}),
		ServerFrame{Type: ServerHello, Session: []byte("node-1.7.4fti4g"), Node: []byte("node-1"), Account: []byte("alice"), Device: []byte(`ph"one`), PingMS: 30000, MaxPayload: 65536, ExpiresMS: 1700000000000, Missed: 3}},
	{"message", AppendMessage(nil, origin, &session.Message{ID: 36, Payload: []byte(`{ "a": [1, 2.50] }`), SentMS: 1700000000000}),
		ServerFrame{Type: ServerMessage, ID: []byte("node-1.7.10"), Payload: []byte(`{ "a": [1, 2.50] }`), SentMS: 1700000000000}},
	{"message-null", AppendMessage(nil, origin, &session.Message{ID: 1, Payload: []byte(`null`)}),
		ServerFrame{Type: ServerMessage, ID: []byte("node-1.7.1"), Payload: []byte(`null`)}},
	{"message-from", AppendMessage(nil, origin, &session.Message{ID: 1, Payload: []byte(`1`), From: `tv "live"`, SentMS: 5, Ack: true}),
		ServerFrame{Type: ServerMessage, ID: []byte("node-1.7.1"), Payload: []byte(`1`), From: []byte(`tv "live"`), SentMS: 5, Ack: true}},
	{"message-text", AppendMessage(nil, origin, &session.Message{ID: 1, Kind: session.Text, Payload: []byte("l1\nl2\t\"q\" \\ \x00 é 😀"), SentMS: 5}),
		ServerFrame{Type: ServerMessage, ID: []byte("node-1.7.1"), Kind: session.Text, Payload: []byte("l1\nl2\t\"q\" \\ \x00 é 😀"), SentMS: 5}},
	{"message-binary", AppendMessage(nil, origin, &session.Message{ID: 1, Kind: session.Binary, Payload: []byte{0, 255, 254, 1}, SentMS: 5}),
		ServerFrame{Type: ServerMessage, ID: []byte("node-1.7.1"), Kind: session.Binary, Payload: []byte{0, 255, 254, 1}, SentMS: 5}},
	{"message-traced", AppendMessage(nil, origin, &session.Message{ID: 1, Payload: []byte(`1`), SentMS: 5, Ack: true, Trace: traceparent}),
		ServerFrame{Type: ServerMessage, ID: []byte("node-1.7.1"), Payload: []byte(`1`), SentMS: 5, Ack: true, Trace: []byte(traceparent)}},
	{"result", AppendResult(nil, []byte(`"r-1"`), session.Written.String()),
		ServerFrame{Type: ServerResult, Ref: []byte(`"r-1"`), Status: []byte("written")}},
	{"result-outcomes", AppendResultClose(AppendResultOutcome(AppendResultOutcome(AppendResultOpen(nil, []byte("17"), StatusOK), "tv", session.Written), "watch", session.Lost)),
		ServerFrame{Type: ServerResult, Ref: []byte("17"), Status: []byte("ok"), Devices: []byte(`[{"device":"tv","outcome":"written"},{"device":"watch","outcome":"lost"}]`)}},
	{"result-none", AppendResultClose(AppendResultOpen(nil, []byte("17"), session.Offline.String())),
		ServerFrame{Type: ServerResult, Ref: []byte("17"), Status: []byte("offline"), Devices: []byte(`[]`)}},
	{"result-devices", AppendResultClose(AppendResultDevice(AppendResultDevice(AppendResultOpen(nil, []byte("17"), StatusOK),
		&DeviceInfo{Device: "tv", Online: true, SinceMS: 1, SeenMS: 2, Attrs: []byte(`{"os":"x"}`)}), &DeviceInfo{Device: "old", SinceMS: 3, SeenMS: 3})),
		ServerFrame{Type: ServerResult, Ref: []byte("17"), Status: []byte("ok"), Devices: []byte(`[{"device":"tv","state":"online","since_ms":1,"seen_ms":2,"attrs":{"os":"x"}},{"device":"old","state":"offline","since_ms":3,"seen_ms":3}]`)}},
	{"presence", AppendPresence(nil, "tv", StateOffline, 9),
		ServerFrame{Type: ServerPresence, Device: []byte("tv"), State: []byte("offline"), AtMS: 9}},
	{"cancel", AppendCancel(nil, []session.ID{{Origin: origin, Number: 1}, {Origin: origin, Number: 2}}),
		ServerFrame{Type: ServerCancel, IDs: [][]byte{[]byte("node-1.7.1"), []byte("node-1.7.2")}}},
	{"goaway", AppendGoaway(nil, GoawayDrain, 1234),
		ServerFrame{Type: ServerGoaway, Reason: []byte("drain"), ReconnectMS: 1234}},
	{"pong", AppendPong(nil, []byte(`"p"`)), ServerFrame{Type: ServerPong, Ref: []byte(`"p"`)}},
	{"pong-bare", AppendPong(nil, nil), ServerFrame{Type: ServerPong}},
	{"error", AppendError(nil, []byte("1.5e3"), CodeType, `type "x" is not known`),
		ServerFrame{Type: ServerError, Ref: []byte("1.5e3"), Code: []byte("unknown_type"), Detail: []byte(`type "x" is not known`)}},
	{"error-bare", AppendError(nil, nil, CodeJSON, "it ends"),
		ServerFrame{Type: ServerError, Code: []byte("bad_json"), Detail: []byte("it ends")}},
}

func TestServerFrames(t *testing.T) {
	var f ServerFrame // one for all: nothing of a frame may stay for the next
	for _, tc := range serverFrames {
		t.Run(tc.name, func(t *testing.T) {
			golden(t, "server/"+tc.name, tc.got)
			if err := ParseServer(tc.got, &f); err != nil {
				t.Fatal(err)
			}
			got := f
			got.top, got.from = reader{}, reader{}
			if len(got.IDs) == 0 {
				got.IDs = nil
			}
			if !reflect.DeepEqual(got, tc.want) {
				t.Errorf("\n got %+v\nwant %+v", got, tc.want)
			}
		})
	}
}

func TestAppendReconnect(t *testing.T) {
	b := AppendReconnect(nil, 1234)
	golden(t, "server/reconnect", b)
	if n := len(AppendReconnect(nil, 1<<63-1)); n > 123 {
		t.Errorf("the longest is %d bytes: a close frame has room for 123", n)
	}
}

func TestParseServerRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ in, code string }{
		"not JSON":      {`{"type"`, CodeJSON},
		"array":         {`[]`, CodeJSON},
		"no type":       {`{}`, CodeType},
		"unknown":       {`{"type":"x"}`, CodeType},
		"no payload":    {`{"type":"message","id":"a"}`, CodeMissing},
		"from a string": {`{"type":"message","id":"a","payload":1,"from":"x"}`, CodeValue},
		"from a number": {`{"type":"message","id":"a","payload":1,"from":{"device":1}}`, CodeValue},
	} {
		t.Run(name, func(t *testing.T) {
			if err := ParseServer([]byte(tc.in), new(ServerFrame)); codeOf(err) != tc.code {
				t.Errorf("got %v, want %s", err, tc.code)
			}
		})
	}
}

// TestAppendAppends checks that every frame leaves alone what the buffer holds.
func TestAppendAppends(t *testing.T) {
	before := []byte(`before`)
	for name, b := range map[string][]byte{
		"message": AppendMessage(bytes.Clone(before), origin, &session.Message{Kind: session.Binary, Payload: []byte("x")}),
		"result":  AppendResult(bytes.Clone(before), []byte("1"), "ok"),
		"text":    AppendJSONString(bytes.Clone(before), "a\nb"),
	} {
		if !bytes.HasPrefix(b, before) {
			t.Errorf("%s: %q", name, b)
		}
	}
}

// FuzzString holds our strings against encoding/json's: both must say the same.
func FuzzString(f *testing.F) {
	for _, s := range []string{"", "plain", "a\"b\\c\n\r\t\b\f\x00\x1f\x7f", "é😀\u2028", "\xff", "\xed\xa0\x80", "a\xe2\x82", "12345678\"", strings.Repeat("x", 100)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b := AppendJSONString(nil, s)
		theirs, _ := json.Marshal(s)
		var got, want string
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		if err := json.Unmarshal(theirs, &want); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Fatalf("%q is written %q, which means %q, want %q", s, b, got, want)
		}
	})
}
